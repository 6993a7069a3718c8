"""Old names of what is in :mod:`llm_bridge.experiment.plots`."""

from llm_bridge.experiment.plots import averaging, curves, descent, responses, tables
from llm_bridge.moved import moved

__all__ = ["averaging", "curves", "descent", "responses", "tables"]

moved("llm_bridge.plots", "llm_bridge.experiment.plots")
