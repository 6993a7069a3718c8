"""Claims about which policies a preference can produce: equilibria, win rates, divergences (N22, N23, N28)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nashlab.certificate import exploitability, residual
from nashlab.claims import Case, Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import random_game
from nashlab.game import PreferenceGame
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array

Mask = NDArray[np.bool_]


def _flow(pi: Array, h: Array, tau: float, low: Array | None = None) -> Array | None:
    """Margins with the equilibrium π at μ and τ, by a linear programme over pairs; None: none exist.

    low  lower bounds of the margins, [n, n], and −low.T their upper bounds; −½ and ½ by default.
    """
    from scipy.optimize import linprog

    n = len(pi)
    pairs = list(itertools.combinations(range(n), 2))
    balance = np.zeros((n, len(pairs)))
    for k, (i, j) in enumerate(pairs):
        balance[i, k], balance[j, k] = pi[j], -pi[i]
    bounds = [(-0.5, 0.5) if low is None else (low[pair], -low.T[pair]) for pair in pairs]
    # the most probable response's equation follows from the others; with all of them, rounding makes it infeasible
    rest = np.arange(n) != np.argmax(pi)
    right = tau * (h - pi @ h)[rest]
    options = {"primal_feasibility_tolerance": 1e-10}
    found = linprog(np.zeros(len(pairs)), A_eq=balance[rest], b_eq=right, bounds=bounds, options=options)
    if found.status != 0:
        return None
    margins = np.zeros((n, n))
    for k, (i, j) in enumerate(pairs):
        margins[i, j], margins[j, i] = found.x[k], -found.x[k]
    return margins


def _excesses(pi: Array, h: Array, tau: float) -> tuple[Array, NDArray[np.int_]]:
    """E_S h − E_{S^c} h − 1/(2τ) of the threshold sets S, and the order in which responses enter them: by falling h."""
    order = np.argsort(-h)
    mass, weighed = pi[order], (pi * h)[order]
    inside = np.add.accumulate(weighed)[:-1] / np.add.accumulate(mass)[:-1]
    # summed from the other end: 1 − π(S) would lose the digits of a small complement
    outside = (np.add.accumulate(weighed[::-1])[:-1] / np.add.accumulate(mass[::-1])[:-1])[::-1]
    return inside - outside - 0.5 / tau, order


def _on_the_edge(log_mu: Array, direction: Array, tau: float, side: float) -> Array:
    """log π ∝ μ e^{s·direction} with the largest excess over the threshold sets at ``side``/(2τ), by bisection in s."""

    def excess(s: float) -> float:
        log_pi = oracle.log_softmax(log_mu + s * direction)
        return float(_excesses(np.exp(log_pi), log_pi - log_mu, tau)[0].max())

    low, high = 0.0, 1.0
    while excess(high) < side / (2 * tau):
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < side / (2 * tau) else (low, middle)
    return np.asarray(oracle.log_softmax(log_mu + high * direction))


@claim(
    "N22",
    "π is an equilibrium at μ and τ of some preference iff E_S h − E_Sᶜ h ≤ 1/(2τ) for the threshold sets S of h; "
    "else G_P(π) ≥ τ log(w e^{−(1−w)v} + (1−w) e^{wv}) for every P; it is one of some P ≥ L with P ≤ 1 − Lᵀ iff "
    "Σ_{i∈S, j∉S} π_iπ_j(L_ij − ½) ≤ τπ(S)(E_S h − E_π h) for every S",
    tolerance=1e-8,
    because="decisions are compared away from the threshold, where a linear programme is right; it leaves out those of "
    "an equation's n coefficients that are below 1e-9; G is a sum of n terms",
    twin="the threshold a thousandth lower, and L a thousandth higher",
)
def n22(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N22")
    limit = -1e-3 if twin else 0.0  # of 1/(2τ)
    for case in cases.random("N22", max_n=6, share=0.3):
        tau = max(case.temperature, 0.03)  # below, π underflows before it leaves the set
        log_mu = case.game.log_reference
        for side in (-5e-4, 5e-4, float(rng.uniform(-0.5, 1.0))):
            log_pi = _on_the_edge(log_mu, rng.normal(size=case.game.n), tau, side)
            pi, h = np.exp(log_pi), log_pi - log_mu
            excess, order = _excesses(pi, h, tau)
            worst = int(np.argmax(excess))
            margins = _flow(pi, h, tau)
            allowed = excess[worst] <= limit / (2 * tau)
            off = float(allowed != (margins is not None))
            if margins is not None and not off:
                made = PreferenceGame.from_margins(margins, reference=case.game.reference)
                off = float(np.ptp(residual(made.advantage(log_pi), log_mu, log_pi, tau))) * tau
            elif not off:
                w, v = float(pi[order[: worst + 1]].sum()), float(excess[worst])
                least = tau * oracle.log_sum(np.log([w, 1 - w]) + np.array([-(1 - w) * v, w * v]))
                gaps = [
                    float(exploitability(g.with_reference(np.exp(log_mu)), log_pi, tau)) for g in _rivals(case, h, rng)
                ]
                off = max(0.0, least - min(gaps))
            at = Case(case.game, tau, log_pi)
            yield Observation(off, at.describe)
    yield from _boxes(cases, twin)


def _boxes(cases: Cases, twin: bool) -> Iterator[Observation]:
    """An equilibrium of one preference, and boxes around another that are almost or just wide enough for it."""
    from scipy.optimize import brentq

    rng = cases.rng("N22.box")
    for case in cases.random("N22.box", min_n=3, max_n=6, share=0.08):
        tau, n = max(case.temperature, 0.1), case.game.n
        log_pi = subject.solved(case.game, tau)
        pi, h = np.exp(log_pi), log_pi - case.game.log_reference
        centre = random_game("uniform", n, rng).margins
        width = np.triu(rng.uniform(0.1, 1.0, (n, n)), 1)
        sets = [np.array(part) for part in itertools.product((False, True), repeat=n) if 0 < sum(part) < n]

        def lower(scale: float, centre: Array = centre, width: Array = width + width.T) -> Array:
            return np.maximum(centre - scale * width, -0.5)

        def missing(
            low: Array, pi: Array = pi, gain: Array = tau * pi * (h - pi @ h), sets: list[Mask] = sets
        ) -> float:
            return max(float((pi * part) @ low @ (pi * ~part) - gain[part].sum()) for part in sets)

        for side in (1e-5, -1e-5):
            if missing(lower(0.0)) < 1e-5 or missing(lower(10.0)) > -1e-5:
                continue
            low = lower(float(brentq(lambda scale: missing(lower(scale)) - side, 0.0, 10.0)))  # noqa: B023
            margins = _flow(pi, h, tau, low)
            off = float((missing(low + 1e-3 * twin) <= 0) != (margins is not None))
            if margins is not None and not off:
                made = PreferenceGame.from_margins(margins, reference=case.game.reference)
                off = float(np.ptp(residual(made.advantage(log_pi), case.game.log_reference, log_pi, tau))) * tau
            about = {**case.describe(), "policy": pi.tolist(), "lower": (low + 0.5).tolist()}
            yield Observation(off, lambda about=about: about)


def _rivals(case: Case, h: Array, rng: np.random.Generator) -> list[PreferenceGame]:
    """Preferences under which a policy may have a small gap: random ones, and the ranking by h, the most favourable."""
    ranking = 0.5 * np.sign(h[:, None] - h)
    return [case.game, random_game("uniform", case.game.n, rng), PreferenceGame.from_margins(ranking)]


def frontier(divergence: float) -> float:
    """W(κ) = inf_λ (κ + log((e^λ − 1)/λ))/λ: the largest win rate attainable at divergence κ (N23)."""
    from scipy.optimize import minimize_scalar

    def value(log_rate: float) -> float:
        rate = float(np.exp(log_rate))
        # log((e^λ − 1)/λ) = λ + log((1 − e^{−λ})/λ)
        return (divergence + rate + float(np.log(-np.expm1(-rate) / rate))) / rate

    if divergence <= 0:  # to rounding
        return 0.5
    guess = 0.5 * np.log(24.0 * divergence)
    found = minimize_scalar(value, bounds=(guess - 4, guess + 12), method="bounded", options={"xatol": 1e-10})
    return float(min(found.fun, 1.0))


@claim(
    "N23",
    "P(π≻q) = ½ + τ[KL(π‖μ) − KL(q‖μ) − KL(π‖q)]; KL(q‖μ) ≤ log(2τ sinh(1/2τ)) ≤ 1/(24τ²) grows with 1/τ; "
    "P(π≻ν) ≤ W(KL(π‖ν)) ≤ ½ + √(κ/6)",
    tolerance=1e-9,
    because="sums of n terms with q known to 1e-12 in ℓ₁, times h up to 1/τ",
    twin="1/(24τ²) a thousandth smaller, and the win rate with τ a millionth smaller",
)
def n23(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N23")
    slip, less = (1.0 - 1e-6, 1.0 - 1e-3) if twin else (1.0, 1.0)
    for case in cases.all("N23"):
        game, tau, log_pi = case
        log_mu, log_q = game.log_reference, subject.solved(game, tau)
        spent, win = oracle.kl(log_q, log_mu), float(np.exp(log_pi) @ game.margins @ np.exp(log_q))
        paid = oracle.kl(log_pi, log_mu) - spent - oracle.kl(log_pi, log_q)
        log_nu = np.log(random_policy(game.n, rng))
        rate = 0.5 + float(np.exp(log_pi) @ game.margins @ np.exp(log_nu))
        bought = [oracle.kl(log_pi, log_nu), oracle.kl(log_nu, log_pi)]
        errors = [abs(win - slip * tau * paid), spent - _dearest(tau), _dearest(tau) - 1.0 / (24.0 * tau**2)]
        errors += [rate - frontier(kappa) for kappa in bought]
        errors += [frontier(kappa) - 0.5 - np.sqrt(kappa / 6.0) for kappa in bought]
        yield Observation(max(0.0, *errors), case.describe)
    for game, tau, log_pi in _chains(400):  # attained, to 1e-4 of what is above ½ or 0
        log_mu, log_q = game.log_reference, subject.solved(game, tau)
        bound = less * min(_dearest(tau), 1.0 / (24.0 * tau**2))
        spent = oracle.kl(log_q, log_mu)
        log_nu = np.full(game.n, -np.log(game.n))
        rate = float(np.exp(log_pi) @ game.margins @ np.exp(log_nu))
        top = frontier(oracle.kl(log_pi, log_nu)) - 0.5
        off = max(spent / bound - 1.0, 1.0 - spent / bound - 1e-3, 1.0 - rate / top - 1e-4, 0.0)
        yield Observation(off, Case(game, tau, log_pi).describe)
    for case in itertools.islice(cases.random("N23.b"), 20):
        yield Observation(_growth(case), case.describe)


def _dearest(tau: float) -> float:
    """log(2τ sinh(1/2τ))."""
    return float(0.5 / tau + np.log(-np.expm1(-1.0 / tau) * tau))


def _chains(n: int) -> Iterator[Case]:
    """The chain at a uniform equilibrium; π is a best response to uniform play at some temperature."""
    chain = oracle.transitive_chain(n)
    for tau in (0.1, 1.0, 3.0):
        score = chain.mean(axis=1) / tau
        game = PreferenceGame.from_margins(chain, reference=np.exp(oracle.log_softmax(-score)))
        yield Case(game, tau, np.asarray(oracle.log_softmax(score)))


def _growth(case: Case, step: float = 1e-4) -> float:
    """dKL(q‖μ)/d(1/τ) = τ⁻¹ E_q(∂log q/∂(1/τ))², by central differences; relative error beyond their own 1e-5."""
    tau = max(case.temperature, 0.1)
    log_mu = case.game.log_reference
    ends = [regularised_nash(case.game, 1.0 / (1.0 / tau + s * step)).log_policy for s in (1.0, -1.0)]
    slope = (oracle.kl(ends[0], log_mu) - oracle.kl(ends[1], log_mu)) / (2 * step)
    velocity = (ends[0] - ends[1]) / (2 * step)
    written = float(np.exp(subject.solved(case.game, tau)) @ velocity**2) / tau
    return max(0.0, abs(slope - written) - 1e-5 * max(written, 1e-3))


@claim(
    "N28",
    "E[(o − ½ − τ(h − h'))(g − g')] = −2τ Cov_π(r, g) and G ≥ D_g²/(16τ Var_π g): at q the slope of wins on h is τ",
    tolerance=1e-11,
    because="sums of n² terms of size h, at most 1/τ + log(1/μ)",
    twin="a temperature a millionth larger",
)
def n28(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N28")
    slip = 1.0 + (1e-6 if twin else 0.0)
    for case in cases.all("N28"):
        game, tau, log_pi = case
        log_q = subject.solved(game, tau)
        errors = []
        for at in (log_pi, oracle.nearby(log_q, rng)):
            pi, h = np.exp(at), at - game.log_reference
            r = residual(game.advantage(at), game.log_reference, at, tau)
            g = r + float(rng.uniform(0, 1)) * rng.normal(size=game.n)
            seen = game.margins - slip * tau * (h[:, None] - h)
            slope = float(pi @ (seen * (g[:, None] - g)) @ pi)
            spread = float(pi @ (g - pi @ g) ** 2)
            errors.append(abs(slope + 2 * tau * float(pi @ ((r - pi @ r) * (g - pi @ g)))))
            if np.min(1.0 + slope / (4 * tau * spread) * (g - pi @ g)) >= 0:
                errors.append(slope**2 / (16 * tau * spread) - float(exploitability(game, at, tau)))
        q, h = np.exp(log_q), log_q - game.log_reference
        over = h[:, None] - h
        wins, spread = float(q @ (game.margins * over) @ q), float(q @ over**2 @ q)
        errors.append(abs(wins - slip * tau * spread))
        yield Observation(max(0.0, *errors), case.describe)
