"""The forms of a user's loss: three signatures, three array libraries, one loss per pair or the mean of a batch.

    loss(h_gap, p, *, tau)                              the gap of log-ratios h = log π − log μ, the preference p
    loss(h_chosen, h_rejected, *, tau)                  the two log-ratios, the first response preferred
    loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, *, tau)
                                                        summed sequence log-probabilities, the first preferred

The last form may omit the reference, and may take by name ``length_chosen, length_rejected`` (tokens) and
``previous_chosen, previous_rejected`` (log-probabilities under the policy that sampled).  Every form is reduced to the
loss of a pair and its two derivatives by log π(chosen) and log π(rejected).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.game import BadInput, suggestion

__all__ = ["FORMS", "GAP", "PAIR", "SUMS", "Form", "Pairs", "Spec", "exchanged", "form_of", "objective", "pairs_of"]

Array = NDArray[np.float64]
Pairs = Mapping[str, Array]  # columns of one length: the arguments of SUMS, OPTIONAL and p

GAP = ("h_gap", "p")
PAIR = ("h_chosen", "h_rejected")
SUMS = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
FREE = SUMS[:2]
FORMS = (GAP, PAIR, SUMS, FREE)
LENGTHS = ("length_chosen", "length_rejected")
PREVIOUS = ("previous_chosen", "previous_rejected")
OPTIONAL = (*LENGTHS, *PREVIOUS)
BEHAVIOURS = ("policy", "reference", "mixture")
ANCHORS = ("reference", "previous")
UPDATES = ("natural", "gradient", "proximal")


@dataclass(frozen=True)
class Spec:
    """How a loss is meant to be used; every field is optional.

    behaviour  who samples both responses: "policy" (online), "reference" (offline), "mixture" (m_β of the two).
    beta       the weight of the reference in the mixture.
    anchor     the policy that the log-ratios of the first two forms are relative to: "reference", or "previous" (the
               policy that sampled, held fixed).
    update     how a policy follows the expected gradient when convergence is measured: "natural" (mirror descent),
               "gradient" (plain, in the logits), "proximal" (each step minimises the loss plus a KL to the last policy:
               mirror descent with the gradient at the end of its own step).
    """

    behaviour: str | None = None
    beta: float | None = None
    anchor: str = "reference"
    update: str = "natural"

    def __post_init__(self) -> None:
        for name, value, known in (("behaviour", self.behaviour, BEHAVIOURS), ("anchor", self.anchor, ANCHORS),
                                   ("update", self.update, UPDATES)):  # fmt: skip
            if value not in known and not (name == "behaviour" and value is None):
                raise BadInput(f"{name} = {value!r} must be one of {', '.join(known)}{suggestion(str(value), known)}")
        if (self.behaviour == "mixture") != (self.beta is not None):
            raise BadInput('beta belongs to behaviour="mixture", and that needs it')
        if self.beta is not None and not 0 <= self.beta < 1:
            raise BadInput(f"beta = {self.beta}, must be in [0, 1)")


def objective(
    *, behaviour: str | None = None, beta: float | None = None, anchor: str = "reference", update: str = "natural"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that declares how a loss is used; see :class:`Spec`.

    >>> @objective(behaviour="mixture", beta=0.125)
    ... def loss(h_gap, p, *, tau):
    ...     return (h_gap - (p - 0.5) / tau) ** 2
    >>> loss.spec.beta
    0.125
    """
    spec = Spec(behaviour, beta, anchor, update)

    def say(function: Callable[..., Any]) -> Callable[..., Any]:
        function.spec = spec  # type: ignore[attr-defined]
        return function

    return say


@dataclass(frozen=True)
class Form:
    """The signature of a function: its data arguments, the optional ones it takes, and its default τ, if any."""

    arguments: tuple[str, ...]
    optional: tuple[str, ...] = ()
    tau: float | None = None
    spec: Spec = field(default_factory=Spec)

    @property
    def soft(self) -> bool:
        """Whether it takes the preference p; otherwise the first response was preferred."""
        return self.arguments == GAP

    def columns(self, pairs: Pairs) -> dict[str, Array]:
        """The function's arguments for these pairs."""
        anchor = self.spec.anchor
        if self.arguments == FREE or self.arguments == SUMS:
            return {name: pairs[name] for name in (*self.arguments, *self.optional)}
        chosen = pairs["policy_chosen"] - pairs[f"{anchor}_chosen"]
        rejected = pairs["policy_rejected"] - pairs[f"{anchor}_rejected"]
        own = (chosen - rejected, pairs["p"]) if self.soft else (chosen, rejected)
        return dict(zip(self.arguments, own, strict=True)) | {name: pairs[name] for name in self.optional}

    @property
    def held(self) -> bool:
        """Whether a fixed policy enters, so that the gradient is not the derivative of the loss's own mean."""
        return self.spec.anchor == "previous" or bool(set(PREVIOUS) & set(self.optional))

    @property
    def free(self) -> tuple[str, ...]:
        """The arguments by which the loss is differentiated."""
        return self.arguments[:1] if self.soft else self.arguments[:2]


def form_of(function: Callable[..., Any], name: str = "loss") -> Form:
    """The form of a function by the names of its arguments; BadInput names an unknown argument.

    >>> form_of(lambda h_chosen, h_rejected, *, tau: 0).arguments
    ('h_chosen', 'h_rejected')
    """
    known = (*GAP, *PAIR, *SUMS, *OPTIONAL, "tau")
    parameters = inspect.signature(function).parameters
    wants = [p.name for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    needed = [n for n in wants if n in known or parameters[n].default is inspect.Parameter.empty]
    for argument in needed:
        if argument not in known:
            raise BadInput(
                f"{name}: argument {argument!r} is not known{suggestion(argument, known)} A loss takes one of "
                + "; ".join(f"({', '.join(form)}, *, tau)" for form in FORMS)
            )
    data = tuple(n for n in needed if n not in OPTIONAL and n != "tau")
    if data not in FORMS:
        raise BadInput(
            f"{name}({', '.join(wants)}): a loss takes one of " + "; ".join(f"({', '.join(f)}, *, tau)" for f in FORMS)
        )
    if "tau" not in wants:
        raise BadInput(f"{name}: the temperature is missing, a loss takes it by keyword: (..., *, tau)")
    default = parameters["tau"].default
    tau = float(default) if isinstance(default, (int, float)) else None
    return Form(data, tuple(n for n in needed if n in OPTIONAL), tau, getattr(function, "spec", None) or Spec())


def pairs_of(
    policy: tuple[Array, Array], reference: tuple[Array, Array], *, p: Array | float = 1.0, **more: tuple[Any, Any]
) -> dict[str, Array]:
    """Columns for (chosen, rejected) log-probabilities; unless given, lengths are 1 and the previous policy is the
    policy itself."""
    both = {"policy": policy, "reference": reference, "previous": policy, "length": (1.0, 1.0)} | more
    shape = np.broadcast_shapes(*(np.shape(x) for two in both.values() for x in two), np.shape(p))
    columns = {
        f"{what}_{side}": np.ascontiguousarray(np.broadcast_to(np.asarray(x, dtype=np.float64), shape))
        for what, two in both.items()
        for side, x in zip(("chosen", "rejected"), two, strict=True)
    }
    return columns | {"p": np.ascontiguousarray(np.broadcast_to(np.asarray(p, dtype=np.float64), shape))}


def exchanged(pairs: Pairs) -> dict[str, Array]:
    """The same pairs with the other response first: its columns, and the probability that it is preferred."""
    other = {"chosen": "rejected", "rejected": "chosen"}
    what = (name.rsplit("_", 1) for name in pairs if name != "p")
    return {f"{kind}_{side}": pairs[f"{kind}_{other[side]}"] for kind, side in what} | {"p": 1 - pairs["p"]}
