"""Old names of what is in :mod:`llm_bridge.training`."""

from llm_bridge.moved import moved
from llm_bridge.training import OPTIMISERS, SCHEDULES, Diverged, Settings, Trainer, rate, train

__all__ = ["OPTIMISERS", "SCHEDULES", "Diverged", "Settings", "Trainer", "rate", "train"]

moved("llm_bridge.trainer", "llm_bridge.training")
