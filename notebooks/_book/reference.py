"""The reference: autodoc, fed with docstrings in the style of the house."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

from _book.docstrings import as_rst


def rewritten(app: Sphinx, what: str, name: str, about: object, options: Any, lines: list[str]) -> None:
    """Turn a docstring into reStructuredText, in place, as autodoc asks for it."""
    lines[:] = as_rst(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the rewriting."""
    app.connect("autodoc-process-docstring", rewritten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
