"""Modules by the names that they had before there were rooms: ``llm_bridge.models`` is found here."""
