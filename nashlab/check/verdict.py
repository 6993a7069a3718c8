"""The verdict on a loss: the answer to every question, in order, as one JSON object.

Offline (offline.py), online (online.py), the role of lengths and reference, the smallest counterexample, the named
losses that it equals, and its row in Table 1 of Calandriello et al. 2024 (arXiv 2403.08635).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nashlab.check.closed_form import closed_form, of_the_curve
from nashlab.check.counterexample import bradley_terry_optimum, counterexample
from nashlab.check.evaluation import Fault
from nashlab.check.fields import Behaviour, Judged, behaviour_of, mixture
from nashlab.check.forms import GAP, LENGTHS, PAIR, Spec, pairs_of
from nashlab.check.likeness import likeness, probes
from nashlab.check.loading import located
from nashlab.check.offline import Curve, offline
from nashlab.check.online import (
    ZERO,
    convergence,
    effective_temperature,
    equilibria,
    estimate,
    mixture_points,
    parallel,
    rlhf_optima,
    sizes_at,
    tables,
)
from nashlab.check.process import Limits, Subject
from nashlab.check.solving import Solving
from nashlab.gallery import PAPER_TABLE_1
from nashlab.game import BadInput, check_temperature

__all__ = ["judge", "length_of", "needs_reference", "verdict_on"]

Array = NDArray[np.float64]

COMMON_LENGTH = 4.0
SOLVING = 10.0  # seconds that SymPy may take longer than all the rest
PROBE = (np.array([-1.1, -2.3, -0.7, -3.0]), np.array([-1.9, -0.8, -2.6, -1.2]))
ANCHOR = (np.array([-1.4, -1.6, -1.5, -2.0]), np.array([-1.2, -1.7, -1.1, -2.2]))


def judge(target: str, tau: float | None = None, limits: Limits | None = None) -> dict[str, Any]:
    """The verdict on the loss ``PATH.py[:NAME]`` (or a named loss) at τ, by default the function's own, else ½.

    Errors: BadInput if there is no such loss; :class:`nashlab.check.evaluation.Fault` if its code fails.

    >>> round(judge("ipo", 0.25)["online"]["constant"], 9)  # 4/τ: L1
    16.0
    """
    temperature = None if tau is None else check_temperature(tau, positive=True, name="tau")
    source, limits = located(target), limits or Limits()
    with Subject(source, temperature, limits) as loss, Solving(source, limits.memory) as solving:
        if not loss.tau > 0:
            raise BadInput(f"tau = {loss.tau}, must be positive")
        head = {
            "name": loss.name, "summary": loss.summary, "tau": loss.tau, "arguments": list(loss.form.arguments),
            "library": loss.framework, "reduction": loss.reduction, "spec": vars(loss.form.spec),
        }  # fmt: skip
        return head | (_nothing() if loss.reduction == "coupled" else verdict_on(loss, loss.tau, solving))


def verdict_on(loss: Judged, tau: float, solving: Solving | None = None) -> dict[str, Any]:
    """The complete verdict on a pairwise loss, in any process; with ``solving`` its formula is solved."""
    spec = loss.form.spec
    behaviour, lengths = behaviour_of(spec), set(LENGTHS) & set(loss.form.optional)
    curve = Curve(loss, tau)
    some = probes(tau)
    if not np.any(loss.slopes(some, tau)):
        what = "has a derivative of 0 for every pair tried: is it constant, or detached?"
        raise Fault(what, loss.form.columns(some), tau)
    like = likeness(loss, tau, spec)
    online = _online(loss, behaviour, tau, bool(lengths))
    miss = None
    if not online["vanishes_at_nash"]:
        miss = counterexample(loss, behaviour, tau, lengths=bool(lengths))
    return {
        "offline": offline(curve) | _offline_games(loss, tau, bool(lengths)) | _formula(curve, solving),
        "online": online,
        "length": length_of(loss, tau),
        "reference": needs_reference(loss, tau),
        "table1": _table1(loss, spec, tau),
        "counterexample": miss,
        "looks_like": like.equal,
        "looks_like_at_another_temperature": like.elsewhere,
        "looks_like_swapped": like.swapped,
        "nearest": None if like.nearest is None else {"name": like.nearest[0], "distance": like.nearest[1]},
    }


def _formula(curve: Curve, solving: Solving | None) -> dict[str, str | None]:
    """d*(p) as a formula, and whether SymPy solved the function for it or it was recognised on the curve."""
    text = None if solving is None else of_the_curve(curve, solving.found(curve.tau, SOLVING))
    if text is not None:
        return {"closed_form": text, "closed_form_is": "solved"}
    text = closed_form(curve)
    return {"closed_form": text, "closed_form_is": None if text is None else "recognised"}


def _nothing() -> dict[str, Any]:
    """The verdict on a loss of whole batches, which has no pairwise optimum; two batches that share a pair show it."""
    return {
        "offline": None, "online": None, "length": None, "reference": None, "table1": None,
        "counterexample": {"why": "the loss of a pair depends on the other pairs of its batch"},
        "looks_like": [], "looks_like_at_another_temperature": {}, "looks_like_swapped": [], "nearest": None,
    }  # fmt: skip


def _vanishes(sizes: Array) -> bool:
    return bool(np.max(sizes) <= ZERO)


def _online(loss: Judged, behaviour: Behaviour, tau: float, lengths: bool) -> dict[str, Any]:
    along = parallel(loss, behaviour, tau, lengths=lengths)
    at_nash = _vanishes(sizes_at(loss, behaviour, tau, "general", equilibria("general", tau), lengths=lengths))
    at_rlhf = _vanishes(sizes_at(loss, behaviour, tau, "bradley-terry", rlhf_optima(tau), lengths=lengths))
    beta = loss.form.spec.beta or 0.5
    mixed = sizes_at(loss, mixture(beta), tau, "general", mixture_points(tau, beta), lengths=lengths)
    effective, _ = effective_temperature(loss, behaviour, tau)
    gallery = convergence(loss, behaviour, tau, lengths=lengths)
    first = gallery["rps-weighted"]
    report: dict[str, Any] = {
        "parallel": along.how != "no",
        "how": along.how if along.how != "no" else "where it vanishes" if at_nash else "no",
        "constant": along.constant,
        "vanishes_at_nash": at_nash,
        "vanishes_at_rlhf": at_rlhf,
        "vanishes_at_mixture": _vanishes(mixed),
        "mixture_beta": beta,
        "effective_temperature": effective,
        "distance_to_nash": first["distance"],
        "settled": first["settled"],
        **estimate(loss, behaviour, tau),
        "update": loss.form.spec.update,
        "gallery": gallery,
        "common_length": None,
    }
    if lengths:
        at_length, _ = effective_temperature(loss, behaviour, tau, length=COMMON_LENGTH)
        report["common_length"] = {"tokens": int(COMMON_LENGTH), "effective_temperature": at_length}
    if not at_rlhf:
        report["rlhf_counterexample"] = counterexample(
            loss, behaviour, tau, goal=bradley_terry_optimum, lengths=lengths
        )
    return report


def _offline_games(loss: Judged, tau: float, lengths: bool) -> dict[str, bool]:
    """Whether the gradient on data from μ vanishes at offline IPO's optimum (L4), and at the RLHF optimum (E7)."""
    from nashlab.arrays import log_softmax

    data: Behaviour = lambda log_policy, log_reference: log_reference  # noqa: E731
    ipo = [log_softmax(t.log_reference + t.preferences @ np.exp(t.log_reference) / tau) for t in tables("general")]
    return {
        "vanishes_at_offline_ipo": _vanishes(sizes_at(loss, data, tau, "general", ipo, lengths=lengths)),
        "vanishes_at_rlhf": _vanishes(sizes_at(loss, data, tau, "bradley-terry", rlhf_optima(tau), lengths=lengths)),
    }


def _slopes(loss: Judged, tau: float, policy: Any, anchor: Any, length: Any) -> Array:
    return np.stack(loss.slopes(pairs_of(policy, anchor, p=1.0, previous=ANCHOR, length=length), tau))


def length_of(loss: Judged, tau: float) -> str:
    """How sequence lengths enter: "summed", "averaged" over tokens, or "other"."""
    if not set(LENGTHS) & set(loss.form.optional):
        return "unknown" if loss.form.arguments in (GAP, PAIR) else "summed"
    ones, some = (np.ones(4), np.ones(4)), (np.array([1.0, 2, 3, 5]), np.array([4.0, 1, 2, 3]))
    before = _slopes(loss, tau, PROBE, ANCHOR, some)
    if _same(before, _slopes(loss, tau, PROBE, ANCHOR, ones)):
        return "summed"
    twice = [tuple(2 * x for x in two) for two in (PROBE, ANCHOR, some)]
    return "averaged" if _same(before, 2 * _slopes(loss, tau, *twice)) else "other"


def needs_reference(loss: Judged, tau: float) -> bool:
    """Whether the gradient depends on the reference's log-probabilities."""
    moved = tuple(x + shift for x, shift in zip(ANCHOR, (0.3, -0.4), strict=True))
    ones = (np.ones(4), np.ones(4))
    return not _same(_slopes(loss, tau, PROBE, ANCHOR, ones), _slopes(loss, tau, PROBE, moved, ones))


def _same(x: Array, y: Array) -> bool:
    return bool(np.max(np.abs(x - y)) <= ZERO * max(1e-300, float(np.max(np.abs(x)))))


def _table1(loss: Judged, spec: Spec, tau: float) -> dict[str, Any]:
    """The loss's row in Table 1: contrastive if both responses are trained; the spec says who samples."""
    chosen, rejected = _slopes(loss, tau, PROBE, ANCHOR, (np.ones(4), np.ones(4)))
    contrastive = bool(np.max(np.abs(rejected)) > ZERO * np.max(np.abs(chosen)))
    online = None if spec.behaviour is None else spec.behaviour != "reference"
    regularised = None if spec.behaviour is None else spec.behaviour == "mixture"
    row = (contrastive, online, regularised)
    beside = [
        name for name, theirs in PAPER_TABLE_1.items()
        if all(mine is None or mine == other for mine, other in zip(row, theirs, strict=True))
    ]  # fmt: skip
    return {"contrastive": contrastive, "online": online, "regularised_sampling": regularised, "beside": beside}
