"""Does a function compute the loss that it is named after?  For the tests of trainers.

Two losses conform if their derivatives agree on the same pairs up to one positive factor, which a learning rate
absorbs.  If they do not, the failure names the known deviation that the function resembles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.check.deviations import Deviation, Found, miss, recognised
from nashlab.check.evaluation import Loss, loss_of
from nashlab.check.forms import form_of
from nashlab.check.likeness import expected, fingerprint, likeness, named, probes
from nashlab.game import BadInput, check_temperature, suggestion

__all__ = ["assert_conforms", "conformity", "target_named", "told"]

Array = NDArray[np.float64]

CONFORMS = 1e-6  # relative: a single-precision constant or a temperature off by a millionth exceeds it


def target_named(name: str) -> Loss:
    """The named loss; BadInput with the nearest name if it is unknown, and for losses of whole batches."""
    from nashlab.check.losses import NAMED

    if name not in NAMED:
        raise BadInput(f"loss {name!r} is unknown{suggestion(name, NAMED)}")
    loss = named(name)
    if loss is None:
        raise BadInput(f"loss {name!r} couples the pairs of a batch, must be a loss of single pairs")
    return loss


def assert_conforms(function: Callable[..., Any], name: str, *, tau: float) -> None:
    """Fail unless ``function`` is the loss ``name`` at τ, up to a constant factor.

    function  in any form that `nashlab check` accepts, in numpy, jax or torch; it runs in this process.
    Errors: AssertionError with the known deviation that it resembles; BadInput for names and forms; Fault if the
    function itself fails.

    >>> assert_conforms(lambda h_gap, p, *, tau: 3 * (h_gap - (p - 0.5) / tau) ** 2, "ipo", tau=0.1)
    >>> assert_conforms(  # doctest: +ELLIPSIS
    ...     lambda h_gap, p, *, tau: (h_gap - (p - 0.5) / (2 * tau)) ** 2, "ipo", tau=0.1
    ... )
    Traceback (most recent call last):
    AssertionError: the loss is not ipo at tau = 0.1 (...): it is ...its temperature is 2 tau...
    """
    fault = conformity(function, name, tau=tau)
    if fault:
        raise AssertionError(f"the loss is not {name} at tau = {tau:g} {fault}")


def conformity(function: Callable[..., Any], name: str, *, tau: float) -> str:
    """How a function differs from the loss ``name`` at τ, and what it resembles; "" if it conforms."""
    check_temperature(tau, positive=True, name="tau")
    mine = loss_of(function, form_of(function), tau)
    if mine.reduction == "coupled":
        return "(the loss of a pair depends on the other pairs of its batch)"
    target, pairs = target_named(name), probes(tau)
    own = fingerprint(mine, tau, pairs)
    off = miss(own, fingerprint(target, tau, pairs))
    if off <= CONFORMS:
        return ""

    def deviating(deviation: Deviation, there: float, x: float) -> Array:
        return expected(lambda some: deviation.slopes(target, some, there, x), pairs, soft=target.form.soft)

    found = recognised(own, deviating, tau)
    why = told(found, _other_names(mine, name, tau))
    return f"({100 * off:.2g} % of its gradient is something else): {why}"


def _other_names(mine: Loss, name: str, tau: float) -> str:
    """The named losses that it is instead, if any."""
    like = likeness(mine, tau, mine.form.spec)
    others = [other for other in like.equal if other != name]
    others += [f"{other} at {factor:.4g} tau" for other, factor in like.elsewhere.items() if other != name]
    return " or ".join(others)


def told(found: list[Found], others: str = "") -> str:
    """The end of a failure message: the deviations that explain it, and the loss that it is instead."""
    said = ([f"it is {others}"] if others else []) + [one.words for one in found]
    return "; or ".join(said) if said else "it looks like no known deviation"
