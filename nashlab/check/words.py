"""A verdict in plain sentences, the same for terminal and page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["headline", "sentences"]

Verdict = Mapping[str, Any]
PREFERENCES = 18  # those of the curve's grid but 1/2


def headline(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    name, tau = verdict["name"], verdict["tau"]
    if verdict["online"] is None:
        return f"{name} is not a pairwise loss: {verdict['counterexample']['why']}."
    online, offline = verdict["online"], verdict["offline"]
    if online["vanishes_at_nash"]:
        rest_at = f"converges online to the Nash equilibrium π*_τ, τ = {tau:g}"
    elif online["effective_temperature"] is not None and verdict["length"] != "averaged":
        rest_at = f"converges online to the Nash equilibrium at temperature {online['effective_temperature']:.6g}"
    else:
        rest_at = "does not converge online to a Nash equilibrium"
    joined = {(True, True): "and", (True, False): "and not", (False, True): "but", (False, False): "nor"}
    reward = f"{joined[not rest_at.startswith('does not'), online['vanishes_at_rlhf']]} to the RLHF optimum"
    formula = f"; offline, d*(p) = {offline['closed_form']}" if offline["closed_form"] else ""
    return f"{name} {rest_at}, {reward} of Bradley-Terry preferences{formula}."


def sentences(verdict: Verdict) -> list[tuple[str, str]]:
    """(topic, sentence) for every finding of the verdict."""
    if verdict["online"] is None:
        return [("pairs", "No other check applies pair by pair; call it on batches that never mix pairs.")]
    return [
        *_offline(verdict["offline"]),
        *_online(verdict["online"], verdict["tau"]),
        *_data(verdict),
        *_counterexample(verdict),
        *_looks(verdict),
    ]


def _offline(offline: Mapping[str, Any]) -> list[tuple[str, str]]:
    curve = ", ".join(f"{p}: {'none' if d is None else f'{d:.4g}'}" for p, d in offline["optimum"].items())
    said = [("optimum d*(p)", curve)]
    if offline["closed_form"]:
        how = {
            "solved": "solved by SymPy from the function itself",
            "recognised": f"recognised from the curve at {PREFERENCES} preferences; not proved",
        }[offline["closed_form_is"]]
        said.append(("closed form", f"d*(p) = {offline['closed_form']}, {how}"))
    certain = offline["at_certainty"]
    bounded = f"bounded; {certain:.4g} at p = 1" if offline["bounded"] and certain is not None else (
        "not bounded: certain preferences have no optimum" if certain is None else "not bounded"
    )  # fmt: skip
    said.append(("bounded", bounded + ("" if offline["bounded_below"] else "; the loss itself is unbounded below")))
    low, high = offline["minimisers_at_half"]
    if offline["unique_at_half"]:
        said.append(("at p = 1/2", f"one optimum, at {low:.4g}"))
    elif offline["tie"] is None:
        said.append(("at p = 1/2", "no optimum"))
    elif low is None or high is None:
        said.append(("at p = 1/2", "every gap is as good"))
    elif low < high:
        said.append(("at p = 1/2", f"every gap from {low:.4g} to {high:.4g} is as good"))
    else:
        said.append(("at p = 1/2", f"several optima: it breaks ties by a gap of {low:.4g}"))
    if offline["dead_zones"]:
        zones = ", ".join(f"{a:g} to {b:g}" for a, b in offline["dead_zones"])
        said.append(("dead zones", f"the optimum does not move for p from {zones}"))
    if offline["monotone"] == "no":
        said.append(("monotone", "a stronger preference can mean a smaller gap"))
    if offline["remark"]:
        said.append(("overflow", offline["remark"]))
    goals = [
        name for key, name in (("vanishes_at_offline_ipo", "offline IPO's (L4)"), ("vanishes_at_rlhf", "RLHF's (E7)"))
        if offline[key]
    ]  # fmt: skip
    said.append(("on data from the reference", f"its optimum is {' and '.join(goals) or 'its own'}"))
    return said


def _online(online: Mapping[str, Any], tau: float) -> list[tuple[str, str]]:
    how = {
        "identity": f"that of self-play times {online['constant'] or 0:.6g}, exactly (L1)",
        "scaled": "along self-play's, with a factor that depends on the policy",
        "where it vanishes": "not self-play's, but it vanishes at the same points",
        "no": "not along self-play's",
    }[online["how"]]
    said = [("expected gradient", how), ("vanishes at π*_τ", _yes(online["vanishes_at_nash"]))]
    said.append(("vanishes at the RLHF optimum", _yes(online["vanishes_at_rlhf"])))
    mixture = f"{_yes(online['vanishes_at_mixture'])}, with samples from m_β, β = {online['mixture_beta']:g} (L6)"
    said.append(("vanishes at π*_β", mixture))
    effective = online["effective_temperature"]
    if effective is not None and abs(effective / tau - 1) > 1e-4:
        said.append(("effective temperature", f"{effective:.6g}, {effective / tau:.4g} times tau"))
    common = online["common_length"]
    if common is not None and common["effective_temperature"] is not None:
        effect = common["effective_temperature"]
        said.append((f"at {common['tokens']} tokens each", f"the equilibrium at {effect:.6g}, {effect / tau:.4g} tau"))
    settled = "" if online["settled"] else " on average; it does not settle"
    said.append(("distance to π*_τ", f"{online['distance_to_nash']:.4g} in ℓ₁ on rps-weighted{settled}"))
    if online["bias"] is not None:
        bias, variance = online["bias"], online["variance_over_ipo"]
        said.append(("one labelled pair", f"bias {bias:.3g}, variance {variance:.3g} times IPO's"))
    games = "; ".join(
        f"{name} {g['distance']:.2g}"
        + (f" after {g['steps']} steps" if g["steps"] is not None else "")
        + (f", times {g['rate']:.3g} a step" if g["rate"] is not None else "")
        for name, g in online["gallery"].items()
    )
    return [*said, (f"on the gallery, by {UPDATES[online['update']]}", games)]


UPDATES = {"natural": "mirror descent", "gradient": "gradients in the logits", "proximal": "proximal steps"}


def _data(verdict: Verdict) -> list[tuple[str, str]]:
    table = verdict["table1"]
    words = {True: "yes", False: "no", None: "not said"}
    columns = ("contrastive", "online", "regularised_sampling")
    row = ", ".join(f"{k.replace('_', ' ')}: {words[table[k]]}" for k in columns)
    beside = f"; as {', '.join(table['beside'])}" if table["beside"] else ""
    lengths = {
        "summed": "log-probabilities are summed",
        "averaged": "averaged over tokens, which leaves IPO's family (L2)",
        "other": "they enter in another way",
        "unknown": "it receives log-ratios, summed by the caller",
    }
    return [
        ("lengths", lengths[verdict["length"]]),
        ("reference", "needed" if verdict["reference"] else "none: its gradient does not depend on it"),
        ("row of Table 1", row + beside),
    ]  # fmt: skip


def _counterexample(verdict: Verdict) -> list[tuple[str, str]]:
    found = verdict["counterexample"]
    if found is None:
        return []
    tokens = f", lengths {found['lengths']}" if found["lengths"] else ""
    ends = "it converges to" if found["settled"] else "it does not settle; it ended at"
    game = f"P = {found['preferences']}, μ = {found['reference']}{tokens}"
    goal, policy = _policy(found["goal"]), _policy(found["policy"])
    off = f"{found['distance']:.4g} off in ℓ₁, exploitability {found['exploitability']:.4g}"
    return [("smallest counterexample", f"{game}: π*_τ = {goal}, {ends} {policy}, {off}")]


def _looks(verdict: Verdict) -> list[tuple[str, str]]:
    said = []
    if verdict["looks_like"]:
        said.append(("is", ", ".join(verdict["looks_like"]) + ", up to a constant factor"))
    for name, factor in verdict["looks_like_at_another_temperature"].items():
        said.append(("is", f"{name} at {factor:.6g} tau"))
    if verdict["looks_like_swapped"]:
        said.append(("is", ", ".join(verdict["looks_like_swapped"]) + ", with chosen and rejected swapped"))
    if verdict["nearest"] is not None:
        said.append(("nearest", f"{verdict['nearest']['name']}, {verdict['nearest']['distance']:.2g} off"))
    return said


def _yes(x: bool) -> str:
    return "yes" if x else "no"


def _policy(p: list[float]) -> str:
    return "(" + ", ".join(f"{x:.4f}" for x in p) + ")"
