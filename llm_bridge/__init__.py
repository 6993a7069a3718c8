"""llm_bridge: nashlab's algorithms on transformers, exact where a language can be enumerated (theory §6)."""

__version__ = "0.1.0"
