"""``python -m llm_bridge`` is ``llm-bridge``."""

from nashlab.start import begin


def program() -> None:
    """Entry point of ``llm-bridge``."""
    begin("llm_bridge.cli")


if __name__ == "__main__":
    program()
