"""``python -m llm_bridge`` is ``llm-bridge``."""

from llm_bridge.cli import main

main()
