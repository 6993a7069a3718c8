"""The algorithms of nashlab on transformers: objectives, players, sources, and one loop for all."""

from llm_bridge.training.enumerable import Language, expected_samples, restricted
from llm_bridge.training.objective import BRIDGED, Bridged, Samples, all_pairs, bridged, cross_pairs, surrogate
from llm_bridge.training.players import Players, Source, Turn, Weights
from llm_bridge.training.settings import OPTIMISERS, SCHEDULES, Settings, rate
from llm_bridge.training.sources import IMITATION, LABELS, Closed, Examples, Generated, Recorded
from llm_bridge.training.trainer import Diverged, Trainer, train

__all__ = [
    "BRIDGED",
    "IMITATION",
    "LABELS",
    "OPTIMISERS",
    "SCHEDULES",
    "Bridged",
    "Closed",
    "Diverged",
    "Examples",
    "Generated",
    "Language",
    "Players",
    "Recorded",
    "Samples",
    "Settings",
    "Source",
    "Trainer",
    "Turn",
    "Weights",
    "all_pairs",
    "bridged",
    "cross_pairs",
    "expected_samples",
    "rate",
    "restricted",
    "surrogate",
    "train",
]
