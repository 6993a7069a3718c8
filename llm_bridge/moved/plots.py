"""Old names of what is in :mod:`llm_bridge.experiment.plots`."""

from llm_bridge.experiment.plots import averaging, curves, descent, responses, tables

__all__ = ["averaging", "curves", "descent", "responses", "tables"]
