"""Old names of what is in :mod:`llm_bridge.experiment.evaluate`."""

from llm_bridge.experiment import agreement
from llm_bridge.experiment.evaluate import (
    PAPER,
    Answers,
    clopper_pearson,
    closed_tables,
    judged_tables,
    nash_average,
    pairings,
    rouge,
    win_rates,
)
from llm_bridge.moved import moved

__all__ = [
    "PAPER",
    "Answers",
    "agreement",
    "clopper_pearson",
    "closed_tables",
    "judged_tables",
    "nash_average",
    "pairings",
    "rouge",
    "win_rates",
]

moved("llm_bridge.evaluate", "llm_bridge.experiment.evaluate")
