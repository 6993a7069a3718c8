"""llm_bridge: nashlab's algorithms on transformers, exact where a language can be enumerated (theory §6)."""

from pathlib import Path

__version__ = "0.1.0"
__path__.append(str(Path(__file__).parent / "moved"))  # modules by the names that they had before there were rooms
