"""A derivation is a list of identities, each with one constant on trial.

An identity is an expression in which the symbol ``K`` stands for the constant that the theorem names:

    Identity("tabular softmax", gradient_of_loss + K/τ * gradient_of_game, true=4, false=2)

It is *proved* when the expression with the true constant simplifies to exactly 0, and when its **control**, the same
expression with the false constant, does not: evaluated with 30 digits at a rational point it stays above 1e-6, which
no rounding can feign.  A derivation that proves too much (both vanish) is as wrong as one that proves too little.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import sympy as sp
from sympy.core.function import AppliedUndef

K = sp.Symbol("K", real=True)  # the constant on trial

DIGITS = 30  # of every numeric evaluation; sympy raises its working precision until they are correct
ZERO = sp.Rational(1, 10**20)  # the numeric value of a true identity is below this
NONZERO = sp.Rational(1, 10**6)  # that of a control above this
POINTS = 3  # how many rational points a control may try


class Unproved(Exception):
    """A step that a derivation relies on could not be deduced."""


class Identity(NamedTuple):
    """``expression`` (a scalar or a matrix, in K) is 0 at K = ``true`` and not 0 at K = ``false``."""

    name: str
    expression: sp.Expr | sp.MatrixBase
    true: sp.Expr | int
    false: sp.Expr | int


@dataclass(frozen=True)
class Derivation:
    """All identities of one identifier of the theory."""

    id: str
    statement: str
    identities: Callable[[], Iterator[Identity]]


@dataclass(frozen=True)
class Report:
    """One row of the table: how many identities were proved, in what time, and what went wrong."""

    id: str
    statement: str
    identities: tuple[str, ...]
    failures: tuple[str, ...]
    seconds: float

    @property
    def status(self) -> str:
        return "proved" if self.identities and not self.failures else "FAILED"


REGISTRY: dict[str, Derivation] = {}


def derivation(
    id: str, statement: str
) -> Callable[[Callable[[], Iterator[Identity]]], Callable[[], Iterator[Identity]]]:
    """Enter a generator of identities into the registry under its identifier."""

    def enter(identities: Callable[[], Iterator[Identity]]) -> Callable[[], Iterator[Identity]]:
        if id in REGISTRY:
            raise ValueError(f"two derivations are called {id}: every identifier has one")
        REGISTRY[id] = Derivation(id, statement, identities)
        return identities

    return enter


def check(item: Derivation) -> Report:
    """Prove every identity of a derivation and refute every control."""
    start = time.perf_counter()
    names: list[str] = []
    failures: list[str] = []
    try:
        for identity in item.identities():
            names.append(identity.name)
            failures += [f"{identity.name}: {problem}" for problem in problems(identity)]
    except Unproved as reason:
        failures.append(f"after {names[-1:]}: {reason}")
    return Report(item.id, item.statement, tuple(names), tuple(failures), time.perf_counter() - start)


def problems(identity: Identity) -> Iterator[str]:
    """What is wrong with an identity: nothing, if it is a theorem and its control is not."""
    entries = [freeze(entry) for entry in sp.Matrix([identity.expression])]
    if not any(entry.has(K) for entry in entries):
        yield "no constant is on trial (K does not occur)"
        return
    true = [entry.subs(K, identity.true) for entry in entries]
    if not all(vanishes(entry) for entry in true):
        yield f"does not simplify to 0 at K = {identity.true}"
    elif any(size(entry, seed=1) > ZERO for entry in true):
        yield f"simplifies to 0 at K = {identity.true}, but its numeric value is not 0"
    false = [entry.subs(K, identity.false) for entry in entries]
    if not any(size(entry, seed) > NONZERO for seed in range(1, POINTS + 1) for entry in false):
        yield f"the control K = {identity.false} is 0 too"


def vanishes(expression: sp.Expr) -> bool:
    """Whether an expression simplifies to exactly 0; the cheap ways first."""
    expression = sp.expand(expression)  # expands logarithms of positive products as well
    if expression == 0:
        return True
    numerator, _ = sp.fraction(sp.together(expression))
    if sp.expand(sp.powsimp(sp.expand(numerator))) == 0:
        return True
    return bool(sp.simplify(expression) == 0)


def freeze(expression: sp.Expr) -> sp.Expr:
    """Name every derivative and every value of an undefined function by a symbol of its own."""
    for kind in (sp.Derivative, AppliedUndef):
        expression = expression.xreplace(
            {atom: sp.Symbol(f"⟨{atom}⟩", real=True, positive=atom.is_positive) for atom in expression.atoms(kind)}
        )
    return expression


def size(expression: sp.Expr, seed: int) -> sp.Expr:
    """|expression| at a random rational point that respects the signs of the symbols."""
    rng = random.Random(seed)
    point = {
        symbol: sp.Rational(rng.randint(1, 40), 41) * (1 if symbol.is_positive else rng.choice((-1, 1)))
        for symbol in sorted(expression.free_symbols, key=str)
    }
    return sp.Abs(expression.xreplace(point).evalf(DIGITS, chop=False, maxn=400))


def nonnegative(expression: sp.Expr) -> sp.Expr:
    """The expression itself, once sympy has deduced from the signs of its symbols that it is not negative.

    An inequality f ≤ g is proved here as an identity g − f = (an expression that passes through this gate).
    """
    if not expression.is_nonnegative:
        raise Unproved(f"{expression} is not manifestly nonnegative")
    return expression
