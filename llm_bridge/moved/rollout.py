"""Old names of what is in :mod:`llm_bridge.policy`, :mod:`llm_bridge.training`."""

from llm_bridge.moved import moved
from llm_bridge.policy import Prompts, encoded, texts_of
from llm_bridge.training import IMITATION, LABELS, Closed, Examples, Generated, Players, Recorded, Source, Turn, Weights

__all__ = [
    "IMITATION",
    "LABELS",
    "Closed",
    "Examples",
    "Generated",
    "Players",
    "Prompts",
    "Recorded",
    "Source",
    "Turn",
    "Weights",
    "encoded",
    "texts_of",
]

moved("llm_bridge.rollout", "llm_bridge.policy and llm_bridge.training")
