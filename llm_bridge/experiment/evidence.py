"""Who comes nearest to the equilibrium on unseen texts: curves, the order with its uncertainty, methods at equal KL.

Everything is chosen on the validation texts (τ, β and the snapshot of a method) and measured on the held-out ones,
where every number is an expectation over the candidates, text by text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_bridge.experiment.frontier import Budget, along, budget, win_rate
from llm_bridge.experiment.order import differ, order_by_wins, order_of
from nashlab.arrays import kl, l1
from nashlab.certificate import exploitability
from nashlab.equilibrium import regularised_nash, win_rate_bound
from nashlab.game import BadInput, PreferenceGame

__all__ = ["BUDGETS", "Trial", "drawable", "evidence_of", "evidence_of_records"]

Array = NDArray[np.float64]
Setting = tuple[str, float, float | None]
BUDGETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Mean KLs to μ, in nats, at which methods are compared."""
SAMPLED_BUDGETS = (0.5, 1.0, 1.5, 2.0)
"""The same of whole completions, which move further."""


class Trial(NamedTuple):
    """One run: its method, τ, β (None if the method has none) and seed, and its policies on unseen texts by step.

    validation, held_out  log π, [steps, X, K].
    """

    method: str
    tau: float
    beta: float | None
    seed: int
    steps: list[int]
    validation: Array
    held_out: Array

    @property
    def setting(self) -> Setting:
        """Everything but the seed."""
        return self.method, self.tau, self.beta


class Ground(NamedTuple):
    """Texts with their games, μ, and the equilibrium at the experiment's temperature."""

    game: PreferenceGame
    log_mu: Array
    tau: float
    log_target: Array

    @classmethod
    def of(cls, margins: Array, log_mu: Array, tau: float) -> Ground:
        mu = np.exp(log_mu)
        game = PreferenceGame.from_margins(margins, reference=mu / mu.sum(axis=1, keepdims=True))
        return cls(game, log_mu, tau, np.asarray(regularised_nash(game, tau).log_policy))

    def measured(self, log_pi: Array) -> dict[str, Array]:
        """Every quantity of a policy, text by text, [X] each."""
        return {
            "exploitability": np.asarray(exploitability(self.game, log_pi, self.tau)),
            "exploitability_unregularised": np.asarray(exploitability(self.game, log_pi, 0.0)),
            "distance": np.asarray(l1(log_pi, self.log_target)),
            "win_rate": win_rate(np.asarray(self.game.margins), log_pi, self.log_mu),
            "kl": np.asarray(kl(log_pi, self.log_mu)),
        }


def evidence_of(
    methods: Sequence[str],
    margins: Mapping[str, Array],
    log_mu: Mapping[str, Array],
    trials: Sequence[Trial],
    tau: float,
) -> dict[str, Any]:
    """What the trials show on the held-out texts.

    margins [X, K, K] and log_mu [X, K] by split ("validation", "held out");  tau  of the game that everybody plays.
    """
    grounds = {name: Ground.of(margins[name], log_mu[name], tau) for name in ("validation", "held out")}
    held = grounds["held out"]
    settings = _by_setting(trials)
    chosen = {m: _chosen(m, settings, grounds["validation"]) for m in methods}
    values = _values(chosen, settings, held)
    at_budgets = [_at_budget(methods, settings, grounds, kappa) for kappa in BUDGETS]
    return {
        "tau": tau,
        "texts": len(held.log_mu),
        "seeds": sorted({trial.seed for trial in trials}),
        "curves": [_curve(setting, runs, grounds) for setting, runs in settings.items()],
        "chosen": {m: {"tau": t, "beta": b, "step": step} for m, ((_, t, b), step) in chosen.items()},
        "order": {name: (order_by_wins if name == "win_rate" else order_of)(methods, values[name]) for name in values},
        "ends": {name: {k: float(v.mean()) for k, v in held.measured(log_pi).items()}
                 for name, log_pi in (("reference", held.log_mu), ("equilibrium", held.log_target))},
        "equal_kl": [row for row in at_budgets if row],
        "area": _areas(methods, [row for row in at_budgets if row]),
    }  # fmt: skip


def drawable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence with what its figures need: the two frontiers from μ, and the name of the loss at equal KL."""
    rows = evidence["equal_kl"]
    lines = {}
    for name in ("best response", "equilibrium"):
        ends = [evidence["ends"]["reference"], *(row["frontier"][name] for row in rows)]
        lines[f"{name} of that KL"] = {"kl": [0.0, *(row["kl"] for row in rows)]} | {
            key: [end[key] for end in ends] for key in ("win_rate", "exploitability")
        }
    return {**evidence, "frontier": lines, "loss": "P(equilibrium ≻ method) − ½  =  τ KL(π‖q)"}


def evidence_of_records(curves: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> dict[str, Any]:
    """What the records of sampled runs show at equal KL: method -> seeds -> records with win_rate and validation_kl.

    Each run is brought to a KL along its own path, linear between two records; its loss is to the largest win rate that
    any preferences allow at that KL (N23d).  With one number per run, intervals and tests are over seeds.
    """
    rows = []
    for kappa in SAMPLED_BUDGETS:
        rates = {m: [_win_rate_at(run, kappa) for run in runs] for m, runs in curves.items()}
        there = {m: seeds for m, seeds in rates.items() if np.isfinite(seeds).all()}
        if len(there) > 1:
            loss = win_rate_bound(kappa) - np.array(list(there.values()))[:, :, None]
            rows.append({"kl": kappa, "bound": win_rate_bound(kappa), "win_rate": list(there.values()),
                         "loss": order_of(list(there), loss) | {"differ": differ(loss)}})  # fmt: skip
    paths: list[dict[str, Any]] = [
        {"method": m, "kl": [r["validation_kl"] for r in run], "win_rate": [r["win_rate"] for r in run]}
        for m, runs in curves.items() for run in runs
    ]  # fmt: skip
    grid = np.linspace(0.0, max(max(path["kl"]) for path in paths), 200)
    bound = {"kl": grid.tolist(), "win_rate": [win_rate_bound(float(kappa)) for kappa in grid]}
    return {"curves": paths, "equal_kl": rows, "chosen": dict.fromkeys(curves),
            "frontier": {"any preferences (N23d)": bound}, "loss": "largest win rate of any preferences − win rate"
            }  # fmt: skip


def _win_rate_at(run: Sequence[Mapping[str, float]], kappa: float) -> float:
    """The win rate where the run's KL first reaches κ; NaN if it never does."""
    for one, other in pairwise(run):
        low, high = one["validation_kl"], other["validation_kl"]
        if low <= kappa <= high and high > low:
            share = (kappa - low) / (high - low)
            return one["win_rate"] + (other["win_rate"] - one["win_rate"]) * share
    return float("nan")


def _by_setting(trials: Sequence[Trial]) -> dict[Setting, list[Trial]]:
    found: dict[Setting, list[Trial]] = {}
    for trial in sorted(trials, key=lambda t: t.seed):
        found.setdefault(trial.setting, []).append(trial)
    return found


def _chosen(method: str, settings: Mapping[Setting, Sequence[Trial]], ground: Ground) -> tuple[Setting, int]:
    """The setting and step with the least mean exploitability on the validation texts; step 0, which is μ, counts."""
    found = []
    for setting, runs in settings.items():
        if setting[0] == method:
            for k, step in enumerate(runs[0].steps):
                each = [exploitability(ground.game, run.validation[k], ground.tau).mean() for run in runs]
                found.append((float(np.mean(each)), setting, step))
    _, setting, step = min(found, key=lambda one: one[0])
    return setting, step


def _values(
    chosen: Mapping[str, tuple[Setting, int]], settings: Mapping[Setting, Sequence[Trial]], ground: Ground
) -> dict[str, Array]:
    """Every quantity of the chosen policies, [M, S, X] each."""
    found = [
        [ground.measured(run.held_out[run.steps.index(step)]) for run in settings[setting]]
        for setting, step in chosen.values()
    ]
    return {name: np.array([[one[name] for one in seeds] for seeds in found]) for name in found[0][0]}


def _curve(setting: Setting, runs: Sequence[Trial], grounds: Mapping[str, Ground]) -> dict[str, Any]:
    """Means over seeds and held-out texts by step, and the exploitability on the validation texts."""
    held = [[grounds["held out"].measured(log_pi) for log_pi in run.held_out] for run in runs]
    seen = grounds["validation"]
    validated = [[float(exploitability(seen.game, p, seen.tau).mean()) for p in run.validation] for run in runs]
    method, tau, beta = setting
    means = {name: np.array([[step[name].mean() for step in run] for run in held]) for name in held[0][0]}
    return {
        "method": method, "tau": tau, "beta": beta, "step": runs[0].steps,
        **{name: _short(value.mean(axis=0)) for name, value in means.items()},
        "exploitability_std": _short(means["exploitability"].std(axis=0, ddof=1) if len(runs) > 1 else [0.0]),
        "validation_exploitability": _short(np.mean(validated, axis=0)),
    }  # fmt: skip


def _at_budget(
    methods: Sequence[str], settings: Mapping[Setting, Sequence[Trial]], grounds: Mapping[str, Ground], kappa: float
) -> dict[str, Any]:
    """All methods at one mean KL; empty if the games have no such KL, or no method gets there from every seed."""
    try:
        budgets = {name: budget(np.asarray(g.game.margins), g.log_mu, kappa) for name, g in grounds.items()}
    except BadInput:
        return {}
    reached: dict[str, list[tuple[float, Setting, list[Array]]]] = {}
    for setting, runs in settings.items():
        seen = [along(list(run.validation), grounds["validation"].log_mu, kappa) for run in runs]
        held = [along(list(run.held_out), grounds["held out"].log_mu, kappa) for run in runs]
        if all(log_pi is not None for log_pi in (*seen, *held)):
            loss = np.mean([_loss(grounds["validation"], budgets["validation"], v) for v in seen if v is not None])
            reached.setdefault(setting[0], []).append((float(loss), setting, [v for v in held if v is not None]))
    if not reached:
        return {}
    best = {m: min(reached[m], key=lambda one: one[0]) for m in methods if m in reached}
    return _compared(best, grounds["held out"], budgets["held out"])


def _loss(ground: Ground, bought: Budget, log_pi: Array) -> Array:
    """P(q ≻ π) − ½ against the equilibrium of the budget, text by text."""
    return win_rate(np.asarray(ground.game.margins), bought.log_equilibrium, log_pi) - 0.5


def _compared(
    best: Mapping[str, tuple[float, Setting, list[Array]]], ground: Ground, bought: Budget
) -> dict[str, Any]:
    """The methods' policies of one KL beside the frontier, and whether they differ."""
    names = list(best)
    loss = np.array([[_loss(ground, bought, log_pi) for log_pi in best[m][2]] for m in names])
    theory = np.array([[bought.temperature * kl(v, bought.log_equilibrium).mean() for v in best[m][2]] for m in names])
    measured = [[ground.measured(log_pi) for log_pi in best[m][2]] for m in names]
    ends = {"equilibrium": bought.log_equilibrium, "best response": bought.log_best}
    return {
        "kl": bought.kl,
        "temperature": bought.temperature,
        "settings": {m: {"tau": best[m][1][1], "beta": best[m][1][2]} for m in names},
        "frontier": {name: {k: float(v.mean()) for k, v in ground.measured(log_pi).items()}
                     for name, log_pi in ends.items()},
        "loss": order_of(names, loss) | {"differ": differ(loss)},
        "identity_error": float(np.abs(loss.mean(axis=2) - theory).max()),
        "win_rate": [float(np.mean([one["win_rate"] for one in seeds])) for seeds in measured],
        "exploitability": [float(np.mean([one["exploitability"] for one in seeds])) for seeds in measured],
    }  # fmt: skip


def _areas(methods: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Between frontier and method, as mean height over the budgets that it reaches: of the win rate against μ, and of
    the loss to the equilibrium; None below two budgets."""
    found: dict[str, Any] = {}
    for m in methods:
        there = [(row, row["loss"]["methods"].index(m)) for row in rows if m in row["loss"]["methods"]]
        x = np.array([row["kl"] for row, _ in there])
        if len(x) < 2:
            found[m] = None
            continue
        gaps = {
            "win_rate": [row["frontier"]["best response"]["win_rate"] - row["win_rate"][i] for row, i in there],
            "loss": [row["loss"]["mean"][i] for row, i in there],
        }
        heights = {name: float(np.trapezoid(gap, x) / (x[-1] - x[0])) for name, gap in gaps.items()}
        found[m] = {"from": float(x[0]), "to": float(x[-1]), **heights}
    return found


def _short(values: Any) -> list[float]:
    """Six decimal places, for files that are read by people too."""
    return [round(float(v), 6) for v in values]
