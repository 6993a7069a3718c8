"""The optimum d*(p), solved symbolically: the function is called with symbols, and SymPy minimises its risk.

A function of numpy, torch or jax is traced by a copy in which SymPy's functions replace its libraries.  A function that
cannot be traced or solved has no formula here.  A formula is exact, in p and τ; which of several zeros is the optimum
is decided by the curve (offline.py).
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import sympy
from sympy import Expr, Symbol

from nashlab.check.forms import GAP, LENGTHS, PAIR, SUMS, Form
from nashlab.check.loading import load
from nashlab.processes import limit_memory

__all__ = ["Untraceable", "solved", "traced", "values_of", "written"]

P, TAU, D, U, S = (Symbol(name, positive=True) for name in ("p", "tau", "d", "u", "s"))
GAP_D = Symbol("d", real=True)
LIBRARIES = ("numpy", "torch", "jax", "scipy", "math", "array_api_compat")
DEGREE = 2  # of polynomials whose roots are written out: those of a cubic are unreadable
DIGITS, ZERO = 60, sympy.Float("1e-25")
BRANCHES = 16  # of maxima and cases to follow
NEAR = (sympy.Rational(1, 10**6), sympy.Rational(1, 10**25))  # of a minimum: the slope falls before it, rises after it
HALF = sympy.S.Half
BELOW, ABOVE = (tuple((sympy.Rational(p), sympy.Rational(tau)) for p, tau in some) for some in (
    (("3/10", "1/2"), ("9/20", "13/10")), (("4/5", "13/10"), ("3/5", "1/2"))))  # fmt: skip


class Untraceable(Exception):
    """The function does something that has no symbolic counterpart."""


# -- tracing -----------------------------------------------------------------------------------------------------------


def _exact(x: Any) -> Expr:
    """A number as written: .1 is 1/10."""
    if isinstance(x, Traced):
        return x.expression
    if isinstance(x, Expr):
        return x
    if isinstance(x, bool | int):
        return sympy.Integer(int(x))
    try:
        value = float(x)
    except (TypeError, ValueError) as error:
        raise Untraceable(f"a {type(x).__name__} among symbols") from error
    near = Fraction(value).limit_denominator(1000)
    return sympy.Rational(near) if abs(float(near) - value) <= 1e-15 * abs(value) else sympy.Rational(repr(value))


class Step(sympy.Function):  # type: ignore[misc]
    """1 for a positive argument, 0 for a negative one; SymPy's own function would try to determine signs."""

    @classmethod
    def eval(cls, x: Expr) -> Expr | None:
        return (1 + sympy.sign(sympy.N(x, DIGITS))) / 2 if x.is_number else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return sympy.S.Zero


class Larger(sympy.Function):  # type: ignore[misc]
    """The larger of two."""

    @classmethod
    def eval(cls, x: Expr, y: Expr) -> Expr | None:
        if not (x.is_number and y.is_number):
            return None
        return x if sympy.N(x - y, DIGITS) >= 0 else y

    def fdiff(self, argindex: int = 1) -> Expr:
        x, y = self.args
        return Step(x - y) if argindex == 1 else Step(y - x)


class Traced:
    """An expression in place of an array argument."""

    __array_ufunc__ = None  # makes numpy's numbers defer to this class

    def __init__(self, expression: Any):
        self.expression = expression

    def __bool__(self) -> bool:
        raise Untraceable("it decides by a value")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in FUNCTIONS:
            raise Untraceable(f".{name}")
        return lambda *arguments, **named: _called(name, self, *arguments, **named)


def _operator(name: str, f: Callable[[Any, Any], Any]) -> None:
    def forward(self: Traced, other: Any) -> Traced:
        return Traced(f(self.expression, _exact(other)))

    def backward(self: Traced, other: Any) -> Traced:
        return Traced(f(_exact(other), self.expression))

    setattr(Traced, f"__{name}__", forward)
    setattr(Traced, f"__r{name}__", backward)


for _name, _f in {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "truediv": lambda x, y: x / y,
    "pow": lambda x, y: x**y, "lt": lambda x, y: Step(y - x), "le": lambda x, y: Step(y - x),
    "gt": lambda x, y: Step(x - y), "ge": lambda x, y: Step(x - y),
    "and": lambda x, y: x * y, "or": lambda x, y: 1 - (1 - x) * (1 - y),
}.items():  # fmt: skip
    _operator(_name, _f)
for _name, _g in {
    "neg": lambda x: -x, "pos": lambda x: x, "abs": lambda x: Larger(x, -x), "invert": lambda x: 1 - x,
}.items():  # fmt: skip
    setattr(Traced, f"__{_name}__", lambda self, g=_g: Traced(g(self.expression)))


def _clipped(x: Expr, *ends: Any, **named: Any) -> Expr:
    low = next((x for key, x in named.items() if "min" in key), ends[0] if ends else None)
    high = next((x for key, x in named.items() if "max" in key), ends[1] if len(ends) > 1 else None)
    x = x if low is None else Larger(x, low)
    return x if high is None else -Larger(-x, -high)


def _same(x: Expr, *_: Any, **__: Any) -> Expr:
    return x


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": sympy.exp, "log": sympy.log, "sqrt": sympy.sqrt, "tanh": sympy.tanh, "sinh": sympy.sinh, "cosh": sympy.cosh,
    "arctan": sympy.atan, "atan": sympy.atan, "arctanh": sympy.atanh, "atanh": sympy.atanh,
    "sign": lambda x: 2 * Step(x) - 1,
    "arcsinh": sympy.asinh, "asinh": sympy.asinh, "erf": sympy.erf,
    "log1p": lambda x: sympy.log(1 + x), "expm1": lambda x: sympy.exp(x) - 1, "exp2": lambda x: sympy.Pow(2, x),
    "log2": lambda x: sympy.log(x) / sympy.log(2), "logit": lambda x: sympy.log(x / (1 - x)),
    "square": lambda x: x**2, "power": lambda x, y: x**y, "pow": lambda x, y: x**y, "reciprocal": lambda x: 1 / x,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)), "expit": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)), "log_sigmoid": lambda x: -sympy.log(1 + sympy.exp(-x)),
    "logsigmoid": lambda x: -sympy.log(1 + sympy.exp(-x)),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "relu": lambda x: Larger(x, 0), **dict.fromkeys(("maximum", "max"), lambda x, y: Larger(x, y)),
    **dict.fromkeys(("minimum", "min"), lambda x, y: -Larger(-x, -y)),
    **dict.fromkeys(("abs", "absolute", "fabs"), lambda x: Larger(x, -x)), "clip": _clipped, "clamp": _clipped,
    "where": lambda c, x, y: c * x + (1 - c) * y,
    "add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "sub": lambda x, y: x - y,
    "multiply": lambda x, y: x * y, "mul": lambda x, y: x * y, "divide": lambda x, y: x / y,
    "true_divide": lambda x, y: x / y, "negative": lambda x: -x, "neg": lambda x: -x,
    "mean": _same, "sum": _same, "nanmean": _same, "asarray": _same, "array": _same, "as_tensor": _same,
    "tensor": _same, "to": _same, "double": _same, "float": _same, "atleast_1d": _same, "broadcast_to": _same,
    "zeros_like": lambda x, **_: sympy.S.Zero, "ones_like": lambda x, **_: sympy.S.One,
    "full_like": lambda x, y, **_: y,
}  # fmt: skip


def _called(name: str, *arguments: Any, **named: Any) -> Traced:
    known = {k: _exact(x) for k, x in named.items() if k in ("min", "max", "a_min", "a_max", "fill_value")}
    left = set(named) - set(known) - {"dtype", "dim", "axis", "device"}
    if left:
        raise Untraceable(f"{name}({', '.join(left)}=)")
    given = arguments[:1] if FUNCTIONS[name] is _same else arguments
    exact = [None if x is None else _exact(x) for x in given]
    return Traced(FUNCTIONS[name](*exact, **known))


class _Library:
    """Stands in for numpy, torch, jax and their submodules in the copy of a function."""

    def __getattr__(self, name: str) -> Any:
        if name in FUNCTIONS:
            return lambda *arguments, **named: _called(name, *arguments, **named)
        if name in ("nn", "functional", "numpy", "special", "math"):
            return self
        if name in ("pi", "e", "inf"):
            return Traced({"pi": sympy.pi, "e": sympy.E, "inf": sympy.oo}[name])
        if name in ("float64", "float32", "double"):
            return _same
        raise Untraceable(f"the library's {name}")


def _replaced(x: Any, known: dict[int, Any]) -> Any:
    """A global of the function for its copy."""
    home = x.__name__ if isinstance(x, ModuleType) else str(getattr(x, "__module__", None) or type(x).__module__)
    ours = home == "nashlab.arrays"
    if isinstance(x, ModuleType):
        return _Library() if ours or home.split(".")[0] in LIBRARIES else x
    name = getattr(x, "__name__", "")
    if callable(x) and (ours or home.split(".")[0] in LIBRARIES) and name in FUNCTIONS:
        return getattr(_Library(), name)
    return _copied(x, known) if isinstance(x, FunctionType) and not home.startswith("nashlab.arrays") else x


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _copied(function: FunctionType, known: dict[int, Any]) -> FunctionType:
    """A copy of the function that uses SymPy's functions instead of its libraries."""
    if id(function) not in known:
        scope: dict[str, Any] = {"__builtins__": builtins}
        cells = tuple(CellType() for _ in function.__closure__ or ())
        copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells or None)
        copy.__kwdefaults__ = function.__kwdefaults__
        known[id(function)] = copy
        for name in set(_names(function.__code__)) & set(function.__globals__):
            scope[name] = _replaced(function.__globals__[name], known)
        for cell, own in zip(cells, function.__closure__ or (), strict=True):
            cell.cell_contents = _replaced(own.cell_contents, known)
    copied: FunctionType = known[id(function)]
    return copied


def traced(function: Callable[..., Any], **arguments: Expr) -> Expr:
    """The function's value for symbols; Untraceable, or the function's own error, if it has none.

    >>> import numpy as np
    >>> traced(lambda h_gap, p, *, tau: np.logaddexp(0, -tau * h_gap), h_gap=GAP_D, p=P, tau=TAU)
    log(1 + exp(-d*tau))
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        raise Untraceable(f"a {type(plain).__name__}, no plain function")
    found = _copied(plain, {})(**{name: Traced(x) for name, x in arguments.items()})
    if not isinstance(found, Traced):
        raise Untraceable(f"it returns {type(found).__name__}")
    return found.expression


# -- solving -----------------------------------------------------------------------------------------------------------


def _pair(function: Callable[..., Any], form: Form, first: Expr, second: Expr, p: Expr) -> Expr:
    """ℓ of one pair with these log-ratios to a reference of one half; one token each."""
    if form.spec.anchor == "previous" or set(form.optional) - set(LENGTHS):
        raise Untraceable("the policy that sampled")
    if form.arguments == GAP:
        given = {"h_gap": first - second, "p": p}
    elif form.arguments == PAIR:
        given = dict(zip(PAIR, (first, second), strict=True))
    else:
        half = -sympy.log(2)
        given = dict(zip(SUMS, (first + half, second + half, half, half), strict=True))
        given = {name: given[name] for name in form.arguments}
    return traced(function, **given, **{name: sympy.S.One for name in form.optional}, tau=TAU)


def _risk(function: Callable[..., Any], form: Form, first: Expr, second: Expr) -> Expr:
    """Four times the population risk of two equally likely responses, up to constants in the policy (offline.py)."""
    one = _pair(function, form, first, second, P)
    two = _pair(function, form, second, first, 1 - P)
    own = _pair(function, form, first, first, HALF) + _pair(function, form, second, second, HALF)
    return one + two + own if form.soft else 2 * P * one + 2 * (1 - P) * two + own


def _depends_on(expression: Expr, symbol: Symbol) -> bool:
    """Whether an expression depends on a symbol, tested at a few points, which also detects identities SymPy misses."""
    slope = sympy.diff(expression, symbol)
    if slope == 0:
        return False
    levels = (-2, sympy.Rational(1, 3), -HALF, sympy.Rational(3, 2))
    points = [{GAP_D: sympy.Rational(7, 10), symbol: level, P: p, TAU: tau}
              for level, (p, tau) in zip(levels, (*BELOW, *ABOVE), strict=True)]  # fmt: skip
    return any(abs(sympy.N(slope.subs(at), DIGITS)) > ZERO for at in points)


def solved(function: Callable[..., Any], form: Form) -> list[Expr]:
    """d*(p) in p and τ: the minima of the risk, solved exactly.

    Errors: Untraceable, or the function's own error for symbols.
    """
    level = Symbol("c", real=True)
    risk = _risk(function, form, level + GAP_D, level)
    if not _depends_on(risk, level):
        risk = risk.subs(level, 0)
        found = [x for branch, edges in _branches(risk) for x in (*_zeros(sympy.diff(branch, GAP_D)), *edges)]
    else:
        inside = _risk(function, form, sympy.log(2 * S), sympy.log(2 * (1 - S)))
        found = [sympy.log(s / (1 - s)) for s in _roots(_numerator(sympy.diff(inside, S)), S)]
        risk = inside.subs(S, 1 / (1 + sympy.exp(-GAP_D)))
    slope = sympy.diff(risk, GAP_D)
    minima = []
    for x in dict.fromkeys(found):
        if not all(_least(slope, x, at) for at in ABOVE):
            continue
        if all(_least(slope, x, at) for at in BELOW):
            minima.append(x)
        elif all(_least(slope, -x, at) for at in BELOW) and not x.has(P):
            minima.append(sympy.sign(P - HALF) * x)
    return minima


def _branches(risk: Expr) -> Iterator[tuple[Expr, list[Expr]]]:
    """The risk with every maximum and every case replaced by one of its branches, and where branches meet."""
    forks = sorted(risk.atoms(Larger, Step), key=sympy.default_sort_key)
    if 2 ** len(forks) > BRANCHES:
        return
    edges = [x for f in forks for x in _zeros(f.args[0] - (f.args[1] if isinstance(f, Larger) else 0))]
    for chosen in itertools.product((0, 1), repeat=len(forks)):
        of = {f: f.args[k] if isinstance(f, Larger) else sympy.Integer(k) for f, k in zip(forks, chosen, strict=True)}
        yield risk.xreplace(of), edges


def _numerator(x: Expr) -> Expr:
    return sympy.fraction(sympy.together(sympy.powsimp(sympy.expand(x))))[0]


def _zeros(x: Expr) -> list[Expr]:
    """Zeros in d of an expression in d and exponentials of it."""
    rates = [sympy.diff(a.args[0], GAP_D) for a in x.atoms(sympy.exp) if a.has(GAP_D)]
    if any(r.has(GAP_D) for r in rates):
        return []
    if not rates:
        return [root for factor in _factors(x) if not _logs(factor) for root in _roots(factor, GAP_D)]
    ratios = [sympy.simplify(r / rates[0]) for r in rates]
    if not all(r.is_Rational for r in ratios):
        return []
    rate = rates[0] / sympy.ilcm(*[r.q for r in ratios])
    rate = -rate if rate.could_extract_minus_sign() else rate
    found = []
    for factor in _factors(_of_powers(x, rate)):
        if _logs(factor):
            continue
        if not factor.has(U):
            found += _roots(factor, GAP_D)
        elif not factor.has(GAP_D):
            step = sympy.igcd(0, *[k for (k,) in sympy.Poly(factor, U).monoms()]) if factor.is_polynomial(U) else 1
            found += [sympy.log(u) / (step * rate) for u in _roots(factor.subs(U, U ** sympy.Rational(1, step)), U)]
    return found


def _logs(x: Expr) -> set[Expr]:
    return {a for a in x.atoms(sympy.log) if a.has(U) or a.has(GAP_D)}


def _of_powers(x: Expr, rate: Expr) -> Expr:
    """The expression in u = exp(rate·d): log(1 + 1/u) is log(1 + u) − rate·d."""

    def power(e: Expr) -> Expr:
        k = sympy.simplify(sympy.diff(e, GAP_D) / rate)
        return U**k * sympy.exp(sympy.simplify(e - k * rate * GAP_D))

    def parted(inside: Expr) -> Expr:
        above, below = sympy.fraction(sympy.together(inside))
        k = sympy.degree(below, U) if below.is_polynomial(U) else 0
        left = sympy.simplify(below / U**k)
        if left.has(U):
            return sympy.log(inside)
        return sympy.log(sympy.expand(above)) - sympy.log(left) - k * rate * GAP_D

    x = x.replace(lambda e: isinstance(e, sympy.exp) and e.has(GAP_D), lambda e: power(e.args[0]))
    return x.replace(lambda e: isinstance(e, sympy.log) and e.has(U), lambda e: parted(e.args[0]))


def _factors(x: Expr) -> list[Expr]:
    """The factors of the numerator, as a polynomial in d, u and the remaining logarithms of them."""
    names = {a: Symbol(f"l{k}") for k, a in enumerate(sorted(_logs(x), key=sympy.default_sort_key))}
    numerator = _numerator(x.xreplace(names))
    back = {name: a for a, name in names.items()}
    try:
        found = [f for f, _ in sympy.factor_list(numerator, GAP_D, U, *back)[1]]
    except sympy.PolynomialError:  # roots of it, or functions that are neither exponentials nor logarithms
        found = [numerator]
    return [f.xreplace(back) for f in found]


def _roots(x: Expr, unknown: Symbol) -> list[Expr]:
    x = sympy.expand(x)
    if not x.has(unknown) or not x.is_polynomial(unknown) or sympy.degree(x, unknown) > DEGREE:
        return []
    return [sympy.simplify(root) for root in sympy.roots(sympy.Poly(x, unknown))]


def _least(slope: Expr, x: Expr, at: tuple[Expr, Expr]) -> bool:
    """Whether the slope changes from − to + at d = x, within 1e-25, at exact p and τ."""
    given = dict(zip((P, TAU), at, strict=True))
    d = sympy.N(x.subs(given), DIGITS)
    if not d.is_finite or abs(sympy.im(d)) > ZERO:
        return False
    slopes = [(sign, sympy.N(slope.subs(given).subs(GAP_D, sympy.re(d) + sign * e), DIGITS))
              for e in NEAR for sign in (-1, 1)]  # fmt: skip
    return all(y.is_finite and sign * sympy.re(y) > 0 for sign, y in slopes)


# -- writing -----------------------------------------------------------------------------------------------------------


def written(x: Expr) -> str:
    """A formula in p and tau in the usual notation.

    >>> written(sympy.log(-P / (P - 1)) / TAU), written((2 * P - 1) / (2 * TAU))
    ('log(p/(1 - p))/tau', '(p - 1/2)/tau')
    """
    slope = sympy.simplify(sympy.diff(x, P))
    if not slope.has(P) and sympy.simplify(x.subs(P, HALF)) == 0:
        of_tau, number = slope.as_independent(sympy.log, as_Add=False)
        return _times(of_tau * sympy.logcombine(number, force=True), "(p - 1/2)")
    factor, rest = x.as_independent(P, as_Add=False)
    if not isinstance(rest, sympy.log):
        return _times(factor, sympy.sstr(rest))
    above, below = sympy.fraction(sympy.together(rest.args[0]))
    if below.subs(P, HALF).is_negative:
        above, below = -above, -below
    inside = [_bracketed(sympy.expand(part)) for part in (above, below) if part is above or part != 1]
    return _times(factor, f"log({'/'.join(inside)})")


def _times(factor: Expr, text: str) -> str:
    """factor · text, with the text in place of a symbol."""
    return sympy.sstr(factor * Symbol("X")).replace("X", text)


def _bracketed(x: Expr) -> str:
    return f"({sympy.sstr(x)})" if isinstance(x, sympy.Add | sympy.Mul) else sympy.sstr(x)


def values_of(x: Expr, preferences: Sequence[float], tau: float) -> list[float | None]:
    """d*(p) at preferences, None if it is not a real number."""
    found = []
    for p in preferences:
        d = sympy.N(x.subs({P: _exact(p), TAU: _exact(tau)}), DIGITS)
        found.append(float(sympy.re(d)) if d.is_finite and abs(sympy.im(d)) < ZERO else None)
    return found


def main(path: str, name: str, memory: str, preferences: str) -> None:
    """Print the formulas of a file's loss, with their values at these preferences and at τ from standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    limit_memory(int(memory))
    _, function, form = load((Path(path), name or None))
    formulas, grid = solved(function, form), [float(p) for p in preferences.split(",")]
    tau = float(sys.stdin.readline())
    json.dump([{"formula": written(x), "values": values_of(x, grid, tau)} for x in formulas], answers)
    answers.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
