"""Old names of what is in :mod:`llm_bridge.training`."""

from llm_bridge.training import BRIDGED, Bridged, Samples, all_pairs, bridged, cross_pairs, surrogate

__all__ = ["BRIDGED", "Bridged", "Samples", "all_pairs", "bridged", "cross_pairs", "surrogate"]
