"""The losses of many pairs and their derivatives, for functions written in any array library.

torch and jax functions are differentiated by their own library, so a stop-gradient is respected; numpy functions by
central differences (sixth order where the function is smooth, a narrow second-order one at a kink).  A function that
returns one number per batch is called pair by pair where single losses are needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.check.forms import SUMS, Form, Pairs

__all__ = ["Evaluated", "Fault", "Loss", "frameworks_of", "loss_of", "probe", "told"]

Array = NDArray[np.float64]
Columns = Mapping[str, Array]

WIDE, NARROW = 1e-3, 1e-6  # steps of the differences, divided by max(1, τ)
OFFSETS = (0, -3, -2, -1, 1, 2, 3, -NARROW / WIDE, NARROW / WIDE)  # in steps
BELOW_ZERO = 0.01  # a log-probability that stays negative after three steps up
SMOOTH = 1e-5  # relative disagreement of the two that counts as a kink
SAME = 1e-9  # relative agreement of a pair's loss alone and in a batch


class Fault(Exception):
    """The user's function failed: what happened, and on which input."""

    def __init__(self, what: str, columns: Columns, tau: float):
        super().__init__(what)
        self.what = what
        self.input = {name: np.asarray(x).tolist() for name, x in columns.items()} | {"tau": tau}


@dataclass(frozen=True)
class Evaluated:
    """The loss of each pair and its derivatives by log π(chosen) and log π(rejected), [N] each."""

    value: Array
    chosen: Array
    rejected: Array


@dataclass(frozen=True)
class Loss:
    """A user's function in its form, ready to be evaluated.

    reduction  "elementwise", "mean", "sum", or "coupled" if the loss of a pair depends on others of its batch.
    """

    function: Callable[..., Any]
    form: Form
    framework: str
    reduction: str = "elementwise"

    def __call__(self, pairs: Pairs, tau: float, *, tails: bool = False) -> Evaluated:
        """The loss of each pair; Fault if the function fails, or returns NaN or infinity.

        With ``tails`` NaN and infinity are returned, for extreme inputs where a loss may overflow.
        """
        columns = self.form.columns(pairs)
        with np.errstate(all="ignore") if tails else nullcontext():  # the caller says where it overflows
            value, slopes = _DIFFERENTIATED[self.framework](self, columns, tau)
            if value is None:
                value = self.values(columns, tau)
        if not tails:
            _require_finite("value", value, columns, tau)
        return Evaluated(value, *self._both(slopes, columns, tau, tails))

    def slopes(self, pairs: Pairs, tau: float) -> tuple[Array, Array]:
        """Only the two derivatives; for a mean over the batch this avoids one call per pair."""
        columns = self.form.columns(pairs)
        return self._both(_DIFFERENTIATED[self.framework](self, columns, tau)[1], columns, tau, tails=False)

    def _both(self, slopes: Sequence[Array], columns: Columns, tau: float, tails: bool) -> tuple[Array, Array]:
        for slope in () if tails else slopes:
            _require_finite("derivative", slope, columns, tau)
        return slopes[0], -slopes[0] if self.form.soft else slopes[1]

    def raw(self, columns: Columns, tau: float) -> Any:
        """The function's raw result for arrays of its own library."""
        data = [columns[name] for name in self.form.arguments]
        optional = {name: columns[name] for name in self.form.optional}
        return self.function(*data, **optional, tau=tau)

    def values(self, columns: Columns, tau: float) -> Array:
        """The loss of each pair, [N]."""
        convert = _CONVERT[self.framework]
        n = len(next(iter(columns.values())))
        if self.reduction == "elementwise":
            return _numbers(self.raw({k: convert(x) for k, x in columns.items()}, tau), n, columns, tau)
        out = np.empty(n)
        for i in range(n):
            one = {k: x[i : i + 1] for k, x in columns.items()}
            out[i] = _numbers(self.raw({k: convert(x) for k, x in one.items()}, tau), 1, one, tau)[0]
        return out


def _require_finite(what: str, x: Array, columns: Columns, tau: float) -> None:
    bad = np.flatnonzero(~np.isfinite(x))
    if bad.size:
        raise Fault(f"has the {what} {x[bad[0]]}", {k: column[bad[0]] for k, column in columns.items()}, tau)


def frameworks_of(function: Callable[..., Any]) -> list[str]:
    """The array libraries to try, the likeliest first: those named in the function's module, then numpy."""
    scope = getattr(function, "__globals__", {})
    named = {getattr(x, "__name__", "").split(".")[0] for x in scope.values() if type(x).__name__ == "module"}
    named |= {str(getattr(x, "__module__", "")).split(".")[0] for x in scope.values() if callable(x)}
    code = getattr(function, "__code__", None)
    inside = set(code.co_names) if code is not None else set()
    return [f for f in ("torch", "jax") if f in named | inside or f in sys.modules] + ["numpy"]


def loss_of(function: Callable[..., Any], form: Form, tau: float) -> Loss:
    """The function with its array library and its reduction, found by trial; Fault if no library works.

    >>> from nashlab.check.forms import form_of
    >>> f = lambda h_gap, p, *, tau: ((h_gap - (p - 0.5) / tau) ** 2).mean()
    >>> loss_of(f, form_of(f), 1.0).reduction
    'mean'
    """
    first: Fault | None = None
    for framework in frameworks_of(function):
        loss = Loss(function, form, framework)
        try:
            return _with_reduction(loss, tau)
        except Fault as fault:
            first = first or fault
    assert first is not None
    raise first


def probe(form: Form, rows: int = 5) -> dict[str, Array]:
    """A few typical pairs, all different."""
    from nashlab.check.forms import pairs_of

    t = np.linspace(0.0, 1.0, rows)[np.random.default_rng(rows).permutation(rows)]  # no column is sorted
    policy = (-1.3 - 2.1 * t, -2.9 + 1.7 * t**2)
    reference = (-1.9 - 0.7 * t, -2.2 - 1.4 * (t - 0.6) ** 2)  # nor are two gaps in the same order
    return form.columns(pairs_of(policy, reference, p=0.2 + 0.7 * t, length=(2.0 + t * (rows - 1), 3.0 + 0 * t)))


def _with_reduction(loss: Loss, tau: float) -> Loss:
    columns = probe(loss.form)
    n = len(next(iter(columns.values())))
    try:
        alone = Loss(loss.function, loss.form, loss.framework, "mean")
        _DIFFERENTIATED[loss.framework](alone, {k: x[:1] for k, x in columns.items()}, tau)
        single = alone.values(columns, tau)
        whole, again = (np.asarray(_plain(loss.raw({k: _CONVERT[loss.framework](x) for k, x in columns.items()}, tau)))
                        for _ in range(2))  # fmt: skip
    except Fault:
        raise
    except (Exception, SystemExit) as error:
        raise Fault(told(error, loss.function), columns, tau) from error
    if whole.shape != again.shape or not np.array_equal(whole, again, equal_nan=True):
        raise Fault("gave two answers for the same pairs: it is random, or it keeps a state", columns, tau)
    if whole.shape == (n,):
        reduction = "elementwise" if _near(whole, single) else "coupled"
    elif whole.shape == ():
        reduction = "mean" if _near(whole, single.mean()) else "sum" if _near(whole, single.sum()) else "coupled"
    else:
        raise Fault(
            f"returned an array of shape {whole.shape} for {n} pairs, must be ({n},) or a single number", columns, tau
        )
    return Loss(loss.function, loss.form, loss.framework, reduction)


def _near(x: Array, y: Any) -> bool:
    return bool(np.allclose(x, y, rtol=SAME, atol=SAME))


# -- the libraries -----------------------------------------------------------------------------------------------------


def _torch_array(x: Any) -> Any:
    import torch

    return torch.as_tensor(np.array(x, dtype=np.float64))


def _jax_array(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(np.array(x, dtype=np.float64))


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda x: np.array(x, dtype=np.float64),  # a copy, which the function may modify
    "torch": _torch_array,
    "jax": _jax_array,
}


def _plain(output: Any) -> Any:
    """The result of a function as numpy numbers."""
    if isinstance(output, (tuple, list, dict)) or output is None:
        raise TypeError(f"returned {type(output).__name__}, must be an array of losses or a single number")
    output = output.detach().cpu() if hasattr(output, "detach") else output
    return np.asarray(output, dtype=np.float64)


def _numbers(output: Any, n: int, columns: Columns, tau: float) -> Array:
    values: Array = _plain(output)
    if values.shape == () and n == 1:
        values = values[None]
    if values.shape != (n,):
        raise Fault(f"returned an array of shape {values.shape} for {n} pairs, must be ({n},)", columns, tau)
    return values


def _by_differences(loss: Loss, columns: Columns, tau: float) -> tuple[Array | None, list[Array]]:
    free, n = loss.form.free, len(next(iter(columns.values())))
    steps = {name: _step(columns[name], tau, log_probability=name in SUMS) for name in free}
    shape = (len(free), len(OFFSETS), n)
    shifted = {name: np.broadcast_to(x, shape).copy() for name, x in columns.items()}
    for k, name in enumerate(free):
        shifted[name][k] += np.multiply.outer(OFFSETS, steps[name])
    table = loss.values({name: x.ravel() for name, x in shifted.items()}, tau).reshape(shape)
    slopes = []
    with np.errstate(invalid="ignore", over="ignore"):
        for f, wide in zip(table, steps.values(), strict=True):
            narrow = NARROW / WIDE * wide
            smooth = (-f[1] + 9 * f[2] - 45 * f[3] + 45 * f[4] - 9 * f[5] + f[6]) / (60 * wide)
            near = (f[8] - f[7]) / (2 * narrow)
            kinked = np.abs(smooth - near) > SMOOTH * (np.abs(near) + np.abs(f[0]) + 1e-3)
            slopes.append(np.where(kinked, near, smooth))
    return table[0, 0], slopes


def _step(x: Array, tau: float, *, log_probability: bool) -> Array:
    """The step of the differences, [N]; log-probabilities stay below 0."""
    step = np.full(len(x), WIDE / max(1.0, tau))
    return np.minimum(step, np.maximum(np.abs(x) * BELOW_ZERO, 1e-300)) if log_probability else step


def _by_torch(loss: Loss, columns: Columns, tau: float) -> tuple[Array | None, list[Array]]:
    import torch

    tensors = {k: _torch_array(x) for k, x in columns.items()}
    for name in loss.form.free:
        tensors[name].requires_grad_()
    output = loss.raw(tensors, tau)
    if not isinstance(output, torch.Tensor):
        _plain(output)
        raise TypeError(f"returned {type(output).__name__} for tensors, must be a tensor")
    n = len(next(iter(columns.values())))
    if not output.requires_grad:
        slopes = [np.zeros(n) for _ in loss.form.free]
    else:
        total = output.sum() * (n if loss.reduction == "mean" else 1)
        found = torch.autograd.grad(total, [tensors[name] for name in loss.form.free], allow_unused=True)
        slopes = [np.zeros(n) if g is None else np.asarray(g, dtype=np.float64) for g in found]
    if loss.reduction == "elementwise":
        return _numbers(output, n, columns, tau), slopes
    return None, slopes


def _by_jax(loss: Loss, columns: Columns, tau: float) -> tuple[Array | None, list[Array]]:
    import jax

    n = len(next(iter(columns.values())))
    free = {name: _jax_array(columns[name]) for name in loss.form.free}
    fixed = {k: _jax_array(x) for k, x in columns.items() if k not in loss.form.free}
    traced = _jitted(loss, tau)
    try:
        (_, output), found = traced(free, fixed)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):  # the function looks at values and cannot be traced
        (_, output), found = _jax_total(loss, tau)(free, fixed)
    slopes = [np.asarray(found[name], dtype=np.float64) for name in loss.form.free]
    return (_numbers(output, n, columns, tau) if loss.reduction == "elementwise" else None), slopes


def _jax_total(loss: Loss, tau: float) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def total(free: dict[str, Any], fixed: dict[str, Any]) -> tuple[Any, Any]:
        output = jnp.asarray(loss.raw(fixed | free, tau))
        n = len(next(iter(free.values())))
        return output.sum() * (n if loss.reduction == "mean" else 1), output

    return jax.value_and_grad(total, has_aux=True)


@cache
def _jitted(loss: Loss, tau: float) -> Callable[..., Any]:
    import jax

    return jax.jit(_jax_total(loss, tau))


_DIFFERENTIATED: dict[str, Callable[[Loss, Columns, float], tuple[Array | None, list[Array]]]] = {
    "numpy": _by_differences,
    "torch": _by_torch,
    "jax": _by_jax,
}


def told(error: BaseException, function: Callable[..., Any]) -> str:
    """An exception in the function as one line: its type, its message and the line of the user's file."""
    import traceback

    where = getattr(getattr(function, "__code__", None), "co_filename", None)
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == where]
    place = f" (line {lines[-1]})" if lines else ""
    if isinstance(error, SystemExit):
        return f"called exit{place}"
    message = " ".join(str(error).split())[:300]
    return f"raised {type(error).__name__}: {message}{place}"
