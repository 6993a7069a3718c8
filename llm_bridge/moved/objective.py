"""Old names of what is in :mod:`llm_bridge.training`."""

from llm_bridge.moved import moved
from llm_bridge.training import BRIDGED, Bridged, Samples, all_pairs, bridged, cross_pairs, surrogate

__all__ = ["BRIDGED", "Bridged", "Samples", "all_pairs", "bridged", "cross_pairs", "surrogate"]

moved("llm_bridge.objective", "llm_bridge.training")
