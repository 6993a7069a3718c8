"""nashlab's algorithms on transformers: objectives, players, sources, and one training loop for all methods."""

from llm_bridge.training.checkpoint import checksum
from llm_bridge.training.diagnostics import share_interval
from llm_bridge.training.engines import ServedPolicy
from llm_bridge.training.enumerable import Language, expected_samples, restricted
from llm_bridge.training.forms import (
    Direct,
    Extrapolation,
    Leader,
    Magnet,
    Optimistic,
    Population,
    Proximal,
    Regression,
)
from llm_bridge.training.generated import LABELS, Generated
from llm_bridge.training.methods import BRIDGED, IMITATION, Bridged, bridged
from llm_bridge.training.metrics import HeldOut
from llm_bridge.training.objective import Samples, all_pairs, cross_pairs, surrogate
from llm_bridge.training.players import Players, Weights
from llm_bridge.training.recipe import Project, Recipe, prepared, push
from llm_bridge.training.run import Diverged, Groups, Record, Run, Stopped, Work, optimiser_tensors, restore_optimiser
from llm_bridge.training.settings import OPTIMISERS, SCHEDULES, Settings, rate, scheduled
from llm_bridge.training.sources import Closed, Examples, Recorded, Source, Turn
from llm_bridge.training.trainer import Trainer, train

__all__ = [
    "BRIDGED",
    "IMITATION",
    "LABELS",
    "OPTIMISERS",
    "SCHEDULES",
    "Bridged",
    "Closed",
    "Direct",
    "Diverged",
    "Examples",
    "Extrapolation",
    "Generated",
    "Groups",
    "HeldOut",
    "Language",
    "Leader",
    "Magnet",
    "Optimistic",
    "Players",
    "Population",
    "Project",
    "Proximal",
    "Recipe",
    "Record",
    "Recorded",
    "Regression",
    "Run",
    "Samples",
    "ServedPolicy",
    "Settings",
    "Source",
    "Stopped",
    "Trainer",
    "Turn",
    "Weights",
    "Work",
    "all_pairs",
    "bridged",
    "checksum",
    "cross_pairs",
    "expected_samples",
    "optimiser_tensors",
    "prepared",
    "push",
    "rate",
    "restore_optimiser",
    "restricted",
    "scheduled",
    "share_interval",
    "surrogate",
    "train",
]
