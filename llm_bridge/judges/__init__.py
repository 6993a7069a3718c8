"""Judges of texts, p(y ≻ y' | x): from functions, tables, scores, models and known raters."""

from llm_bridge.judges.answers import JudgeFailed
from llm_bridge.judges.candidates import CANDIDATE_KINDS, candidate_sets, check_kinds
from llm_bridge.judges.cycles import Intransitivity, intransitivity, with_cycles
from llm_bridge.judges.features import FEATURES, NGram, SummaryFeatures, content_words
from llm_bridge.judges.http import ServedModel
from llm_bridge.judges.judge import (
    Cached,
    FunctionJudge,
    Judge,
    OneOrder,
    TableJudge,
    annotated,
    ask,
    canonical,
    check_lengths,
    each,
    games,
    judged,
    matrix,
    wanted_columns,
)
from llm_bridge.judges.raters import SUMMARY_RATERS, Criterion, Lexicographic, Majority, RaterPopulation, summary_raters
from llm_bridge.judges.registry import JUDGES, Named, check_judge, judge_named
from llm_bridge.judges.reward_models import SequenceClassifier
from llm_bridge.judges.scores import ReconstructionScore, RelevanceScore, ScoreJudge, fit_scale, pair_score
from llm_bridge.judges.server import Server

__all__ = [
    "CANDIDATE_KINDS",
    "FEATURES",
    "JUDGES",
    "SUMMARY_RATERS",
    "Cached",
    "Criterion",
    "FunctionJudge",
    "Intransitivity",
    "Judge",
    "JudgeFailed",
    "Lexicographic",
    "Majority",
    "NGram",
    "Named",
    "OneOrder",
    "RaterPopulation",
    "ReconstructionScore",
    "RelevanceScore",
    "ScoreJudge",
    "SequenceClassifier",
    "ServedModel",
    "Server",
    "SummaryFeatures",
    "TableJudge",
    "annotated",
    "ask",
    "candidate_sets",
    "canonical",
    "check_judge",
    "check_kinds",
    "check_lengths",
    "content_words",
    "each",
    "fit_scale",
    "games",
    "intransitivity",
    "judge_named",
    "judged",
    "matrix",
    "pair_score",
    "summary_raters",
    "wanted_columns",
    "with_cycles",
]
