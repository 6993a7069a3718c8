"""Who prefers what: judges of strings, p(y ≻ y' | x), from functions, tables, scores, models and known raters."""

from llm_bridge.judges.candidates import CANDIDATE_KINDS, candidate_sets
from llm_bridge.judges.cycles import Intransitivity, intransitivity
from llm_bridge.judges.features import FEATURES, NGram, SummaryFeatures, content_words
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
    games,
    judged,
    matrix,
)
from llm_bridge.judges.raters import SUMMARY_RATERS, Criterion, Lexicographic, Majority, RaterPopulation, summary_raters
from llm_bridge.judges.registry import JUDGES, Named, check_judge, judge_named
from llm_bridge.judges.scores import (
    ReconstructionScore,
    RelevanceScore,
    ScoreJudge,
    SequenceClassifier,
    fit_scale,
    pair_score,
)

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
    "SummaryFeatures",
    "TableJudge",
    "annotated",
    "ask",
    "candidate_sets",
    "canonical",
    "check_judge",
    "check_lengths",
    "content_words",
    "fit_scale",
    "games",
    "intransitivity",
    "judge_named",
    "judged",
    "matrix",
    "pair_score",
    "summary_raters",
]
