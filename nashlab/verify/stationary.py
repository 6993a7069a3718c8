"""Claims about the stationary points of IPO, DPO and XPO, online and offline: L3, L4, L11-L14."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nashlab.algorithm import Exploring, Problem
from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import get
from nashlab.game import PreferenceGame
from nashlab.losses import dpo
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import ROUNDING, Array, Complex, Model


@claim(
    "L3",
    "the stationary point of online IPO is π*_τ: its gradient vanishes there, and descent from anywhere ends there",
    tolerance=1e-8,
    because="descent is stopped at 1e-9 of movement; the gradient at π*_τ is rounding of 4/τ times terms of size 1",
    twin="the equilibrium at 1.00001 τ",
)
def l3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L3")
    for case in cases.all("L3", share=0.5):
        game, tau, _ = case
        q = regularised_nash(game, tau * (1.00001 if twin else 1.0)).log_policy
        gradient = oracle.loss_gradient(oracle.ipo, Model(q), game.preferences, game.log_reference, q, tau)
        # in natural coordinates: a direction of vanishing mass would hide any error
        yield Observation(oracle.size(gradient / np.exp(q)) * tau / 4, case.describe)
    spec = REGISTRY["online-ipo-entropic"]
    for case in itertools.islice(cases.random("L3 descent", max_n=5), 20):
        tau = max(case.temperature, 0.3)
        case = case._replace(temperature=tau, log_policy=np.log(random_policy(case.game.n, rng)))
        found = subject.last(spec, case, 0.5 * tau / (tau**2 + 0.1), 600)
        q = regularised_nash(case.game, tau * (1.00001 if twin else 1.0)).log_policy
        yield Observation(oracle.l1(found, q), case.describe)


@claim(
    "L4",
    "offline IPO on ν ends at ∝ μ exp(p(y ≻ ν)/τ), which moves with ν; for n = 2 it does not",
    tolerance=1e-9,
    because="a least-squares solution with n² rows, conditioned like 1/ν_min ≤ 800, scaled by τ",
    twin="a millionth of the data drawn from μ instead of ν",
)
def l4(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L4")
    for case in cases.all("L4"):
        game, tau, _ = case
        n = game.n
        optima, off = [], 0.0
        for nu in (random_policy(n, rng), random_policy(n, rng)):
            # the loss is least squares in h: rows √(ν_i ν_j) (h_i − h_j) = √(ν_i ν_j) (p_ij − ½)/τ
            weight = np.sqrt(np.outer(nu, nu)).ravel()
            design = (np.eye(n)[:, None, :] - np.eye(n)[None, :, :]).reshape(n * n, n)
            h = np.linalg.lstsq(weight[:, None] * design, weight * game.margins.ravel() / tau, rcond=None)[0]
            log_data = np.log(nu + (1e-6 if twin else 0.0) * (game.reference - nu))
            known = subject.target("offline-ipo", subject.problem(case, log_behaviour=log_data))
            off = max(off, float(np.ptp(h - (known - game.log_reference))) * tau)
            optima.append(h)
        moved = float(np.ptp(optima[0] - optima[1])) * tau
        yield Observation(max(off, moved if n == 2 else 0.0), case.describe)
    problem = Problem(get("dice"), 0.1, 0.1, 0.1, np.log([0.6, 0.3, 0.1]))
    found = np.exp(subject.target("offline-ipo", problem))
    off = oracle.size(found - np.array([0.366, 0.248, 0.387])) - 5e-4  # printed with three decimals
    yield Observation(max(0.0, off), lambda: {"game": "dice", "optimum": found.tolist()})
    other = problem._replace(log_behaviour=np.log([0.1, 0.3, 0.6]))
    moved = oracle.size(found - np.exp(subject.target("offline-ipo", other)))
    yield Observation(max(0.0, 0.05 - moved), lambda: {"game": "dice", "moved": moved})


@claim(
    "L11",
    "online DPO at π*_τ: ∇ = −2τ E s(y)(p(y≻π*) − E σ(p(y≻π*) − p(y'≻π*))), not 0; for n = 2 only p = ½ is stationary",
    tolerance=1e-9,
    because=ROUNDING + " at an equilibrium right to 1e-12; roots of the two-response condition are printed to 1e-4",
    twin="a gradient that is smaller by a relative 1e-5",
)
def l11(cases: Cases, twin: bool) -> Iterator[Observation]:
    for case in cases.all("L11", share=0.5):
        game, tau = case.game, max(case.temperature, 0.1)
        q = regularised_nash(game, tau).log_policy
        pi, win = np.exp(q), game.preferences @ np.exp(q)
        sigma = 1 / (1 + np.exp(-(win[:, None] - win[None, :])))
        weight = pi * (win - sigma @ pi)
        formula = -2 * tau * (weight - pi * weight.sum())
        gradient = oracle.loss_gradient(oracle.dpo, Model(q), game.preferences, game.log_reference, q, tau)
        library = subject.direction("online-dpo", Case(game, tau, q))
        off = max(oracle.size(gradient - (1.0 - (1e-5 if twin else 0.0)) * formula), oracle.size(gradient + library))
        yield Observation(off, case.describe)
    pair = get("two-responses")
    log_nash = regularised_nash(pair, 1.0).log_policy
    force = subject.direction("online-dpo", Case(pair, 1.0, log_nash))
    yield Observation(
        max(0.0, 0.01 - oracle.size(force)),
        lambda: {**Case(pair, 1.0, log_nash).describe(), "DPO's direction at the equilibrium": force.tolist()},
        witness=True,
    )
    yield from _two_responses()


def _two_responses() -> Iterator[Observation]:
    """n = 2, DPO at temperature kτ: stationary at π*_τ iff p = σ(k(p − ½)); for k = 4.5 also p = .2244, .7756."""
    from scipy.optimize import brentq

    def slope(p: float, k: float, tau: float) -> float:
        # h₁ − h₂ = (p − ½)/τ at the equilibrium
        return float(dpo.slope(np.array((p - 0.5) / tau), p, k * tau))

    for tau in (0.1, 1.0):
        inside = [slope(p, 1.0, tau) for p in np.linspace(0.51, 0.99, 25)]
        yield Observation(0.0 if np.all(np.sign(inside) == np.sign(inside[0])) else 1.0, lambda: {"n": 2, "k": 1})
        root = brentq(lambda p: slope(p, 4.5, tau), 0.6, 0.99)  # noqa: B023
        yield Observation(max(0.0, abs(root - 0.7756) - 5e-5), lambda: {"n": 2, "k": 4.5, "p": root})  # noqa: B023


@claim(
    "L12",
    "under Bradley-Terry preferences the RLHF optimum ∝ μ exp(r/τ) is stationary for online DPO",
    tolerance=1e-10,
    because=ROUNDING,
    twin="a reward that is smaller by a relative 1e-5",
)
def l12(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L12")
    for _ in range(max(10, cases.samples // 2)):
        n, tau = int(rng.integers(2, 8)), float(rng.choice([0.1, 0.3, 1.0]))
        r = rng.normal(size=n)
        game = PreferenceGame.from_preferences(
            1 / (1 + np.exp(r[None, :] - r[:, None])), reference=random_policy(n, rng), name="bradley-terry"
        )
        log_pi = oracle.log_softmax(game.log_reference + (1.0 - (1e-5 if twin else 0.0)) * r / tau)
        case = Case(game, tau, log_pi)
        yield Observation(oracle.size(subject.direction("online-dpo", case)), case.describe)


@claim(
    "L12.xpo",
    "XPO's step is −∇{E_{π⊗μ} DPO + α E_μ log π}; under Bradley-Terry α(π_R − μ) of it is left at the RLHF optimum π_R",
    tolerance=1e-12,
    because=ROUNDING + "; α = 1e-5, and slopes of DPO are τ at most",
    twin="the bonus α on the policy's own response, where E_π s = 0 takes it out",
)
def l12_xpo(cases: Cases, twin: bool) -> Iterator[Observation]:
    objective = REGISTRY["xpo"].objective
    assert isinstance(objective, Exploring)
    for case in cases.all("L12.xpo", share=0.25):
        game, tau, log_pi = case
        written = Model(log_pi).gradient(_xpo(case, objective.bonus, log_pi if twin else game.log_reference))
        yield Observation(oracle.size(subject.direction("xpo", case) + written) / (1.0 + tau), case.describe)
        r = log_pi - np.mean(log_pi)
        game = PreferenceGame.from_preferences(
            1 / (1 + np.exp(r[None, :] - r[:, None])), reference=game.reference, name="bradley-terry"
        )
        at = Case(game, tau, oracle.log_softmax(game.log_reference + r / tau))
        away = np.exp(at.log_policy) - np.exp(at.log_policy if twin else game.log_reference)
        left = subject.direction("xpo", at) - objective.bonus * away
        yield Observation(oracle.size(left) / (1.0 + tau), at.describe)


def _xpo(case: Case, bonus: float, log_explored: Array) -> Callable[[Complex], Any]:
    """The loss: DPO between y ~ SG π and y' ~ μ, and α log π of what the third policy says."""
    (game, tau, log_pi), mu = case, case.game.reference

    def loss(log_policy: Complex) -> Any:
        h = log_policy - game.log_reference
        pairs = np.exp(log_pi) @ oracle.dpo(h[:, None] - h[None, :], game.preferences, tau) @ mu
        return pairs + bonus * np.sum(np.exp(log_explored) * log_policy)

    return loss


@claim(
    "L13",
    "rock, paper, scissors with uniform μ: online DPO is stationary at π*_τ; a non-uniform μ breaks it",
    tolerance=1e-12,
    because="the uniform policy, exactly; the broken case must exceed 1e-4",
    twin="a reference that is 1e-6 off uniform",
)
def l13(cases: Cases, twin: bool) -> Iterator[Observation]:
    for tau in (0.03, 0.1, 0.3, 1.0):
        for name, exception in (("rps", True), ("rps-weighted", False)):
            game = get(name)
            if twin and exception:
                game = game.with_reference([1 / 3 + 1e-6, 1 / 3, 1 / 3 - 1e-6])
            case = Case(game, tau, regularised_nash(game, tau).log_policy)
            size = oracle.size(subject.direction("online-dpo", case)) / tau
            yield Observation(size if exception else max(0.0, 1e-4 - size), case.describe)


@claim(
    "L14",
    "offline DPO and offline IPO have many optima where the data policy has zeros",
    tolerance=1e-10,
    because="the gradient does not see a response that is never sampled, and vanishes elsewhere to rounding of h ≤ 5/τ",
    twin="a data policy that samples it with probability 1e-6",
)
def l14(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("L14")
    for case in cases.random("L14", min_n=3, share=0.25):
        tau = case.temperature
        # no certain preferences among the sampled responses, so that the logistic fit has an optimum
        game = PreferenceGame.from_margins(0.8 * case.game.margins, reference=case.game.reference, name=case.game.name)
        p = game.preferences
        seen = random_policy(game.n - 1, rng)
        nu = np.append((1 - 1e-6) * seen, 1e-6) if twin else np.append(seen, 0.0)
        with np.errstate(divide="ignore"):
            log_nu = np.log(nu)
        # the optimum on the sampled responses in h = log π − log μ; the unsampled one may have any mass
        optima = {"offline-ipo": p[:-1, :-1] @ seen / tau, "offline-dpo": oracle.logistic_fit(p[:-1, :-1], seen) / tau}
        for (name, h), mass in itertools.product(optima.items(), (0.01, 0.5, 0.9)):
            log_seen = oracle.log_softmax(game.log_reference[:-1] + h) + np.log1p(-mass)
            point = Case(game, tau, np.append(log_seen, np.log(mass)))
            unit = tau if name == "offline-ipo" else 1 / tau
            off = oracle.size(subject.direction(name, point, log_behaviour=log_nu)) * unit
            yield Observation(off, point.describe)
