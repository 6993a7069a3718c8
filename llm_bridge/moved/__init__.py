"""Old names of modules that have since moved into rooms, such as ``llm_bridge.models``."""
