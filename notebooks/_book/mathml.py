"""Mathematics as MathML, made when the book is built: a page needs neither a script nor a network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import SphinxError


def mathml(latex: str, *, block: bool) -> str:
    """A formula of LaTeX as one element.

    >>> mathml("x", block=False)
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    latex = latex.replace(r"\|", r"\Vert ")
    found = str(convert(latex, display="block" if block else "inline"))
    if "\\" in found:
        raise SphinxError(f"mathematics that latex2mathml does not know: {latex}")
    return found


def inline(self: Any, node: nodes.math) -> None:
    """Write a formula in a sentence."""
    self.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def display(self: Any, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    self.body.append(f'<div class="formula">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer; ``html_math_renderer = "mathml"`` takes it."""
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
