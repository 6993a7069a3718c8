"""Typeset the formulas in a sentence: plain text as in a terminal in, HTML with MathML out."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["latex", "typeset"]

ACCENTS = {"\u0307": "\\dot", "\u0302": "\\hat"}
NAMES = {
    "×": "times", "≤": "le", "≥": "ge", "≠": "ne", "∝": "propto", "≻": "succ", "→": "to", "∈": "in", "∇": "nabla",
    "∂": "partial", "∞": "infty", "Σ": "sum", "√": "surd", "‖": "Vert", "⊗": "otimes", "±": "pm", "·": "cdot",
    "ℓ": "ell", "π": "pi", "τ": "tau", "μ": "mu", "ν": "nu", "η": "eta", "θ": "theta", "λ": "lambda", "β": "beta",
    "α": "alpha", "ω": "omega", "ρ": "rho", "σ": "sigma", "ψ": "psi", "ε": "varepsilon", "ζ": "zeta",
}  # fmt: skip
SYMBOLS = {symbol: f"\\{name} " for symbol, name in NAMES.items()}
SYMBOLS |= {"−": "-", "½": "\\tfrac{1}{2}", "ᵀ": "^{\\top}"} | {char: f"\\{char}" for char in "%&#$"}
FUNCTIONS = ("SG", "KL", "SymKL", "BR", "Var", "log", "exp", "osc", "max", "min", "E", "Re", "Im")
WORD = re.compile(r"(?:[A-Za-z]{3,}|[A-Z]{2,}|\b(?:Re|Im)\b)(?:-[A-Za-z]{2,})*( ?)")  # Ax and ij are products
# an index with its primes, so that r_y' is r of y'; in q_iq_j the second q is not an index
INDEX = re.compile(r"([_^])([A-Za-z0-9]+(?=[A-Za-z][_^])|[A-Za-z0-9]+(?![A-Za-z0-9_^])'*|[^\s{]'*)")
# a token of a formula: a symbol of mathematics, an operator, an index, one letter by itself, a function's parenthesis
FORMULA = re.compile(r"[^\x00-\x7f–’…]|[=<>^_|]|^\(?[b-zB-HJ-Z][,;:)}]*$|\d[.\d]*[a-z(/]|[A-Za-z]\(")
NAME = re.compile(r"[A-Za-z]\w*_\w*[a-z]{3,}\w*,?")  # of a theorem
NUMBER = re.compile(r"[-−+]?\.?\d[\d.,e-]*|[-+/]")


def typeset(sentence: str) -> Markup:
    """A sentence as HTML in which every run of mathematics is a MathML element; everything else is escaped.

    >>> print(typeset("this & that of x"))
    this &amp; that of <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>
    """
    from markupsafe import Markup

    parts: list[str] = []
    run: list[str] = []

    def close() -> None:
        if run:
            text = " ".join(run)
            body = text.rstrip(",;:")
            parts.append(_mathml(body) + escape(text[len(body) :]))
            run.clear()

    for token in sentence.split(" "):
        opened = "".join(run).count("{") > "".join(run).count("}")
        if run and not opened and re.fullmatch(r"\.?\d[\d.]*", run[-1]) and token[:1].isalpha():
            close()  # "at τ = 0 V is": another formula, not a product
        goes_on = bool(run) and (opened or token in FUNCTIONS or NUMBER.fullmatch(token))
        if goes_on or (FORMULA.search(token) and not NAME.fullmatch(token)):
            run.append(token)
            if token[-1] in ",;:" and not opened:  # the sentence goes on
                close()
        else:
            close()
            parts.append(escape(token))
    close()
    return Markup(" ".join(parts))


def _mathml(text: str) -> str:
    from latex2mathml.converter import convert

    return str(convert(latex(text)))


def latex(text: str) -> str:
    r"""A formula of plain text as LaTeX: words upright, indices in braces, symbols by their names.

    >>> latex("‖π − π*‖₁")
    '\\Vert \\pi  - \\pi ^{*}\\Vert _{1}'
    """
    text = INDEX.sub(r"\1{\2}", _braced(text))
    text = WORD.sub(lambda word: f"\\text{{{word[0].rstrip()}}}" + ("\\, " if word[1] else ""), text)
    for accent, command in ACCENTS.items():
        text = re.sub(f"(.){accent}", rf"\{command}{{\1}}", text)
    pieces = []
    for kind, group in groupby(text, key=_raised):
        chars = "".join(group)
        if kind in ("<sub>", "<super>"):
            sign = "_" if kind == "<sub>" else "^"
            chars = f"{sign}{{{unicodedata.normalize('NFKC', chars)}}}"
        pieces.append(chars)
    return "".join(SYMBOLS.get(c, c) for c in "".join(pieces))


def _raised(char: str) -> str:
    return "<super>" if char == "*" else unicodedata.decomposition(char).partition(" ")[0]


def _braced(text: str) -> str:
    r"""Braces that hold no index are signs of the formula: \{ and \}."""
    kept: list[bool] = []
    out = []
    for before, char in zip(" " + text, text, strict=False):
        if char == "{":
            kept.append(before in "_^")
        literal = char in "{}" and not (kept.pop() if char == "}" and kept else bool(kept) and kept[-1])
        out.append("\\" + char if literal else char)
    return "".join(out)
