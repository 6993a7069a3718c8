"""Claims about token-level mixtures (N25)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nashlab.claims import Cases, Observation, claim, random_policy
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import random_game
from nashlab.verify import oracle
from nashlab.verify.oracle import Array


def _prefixes(depth: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """For each prefix of ``depth`` binary tokens, the two halves of the sequences that continue it."""
    words = np.array(list(itertools.product((0, 1), repeat=depth)))
    for length in range(depth):
        for prefix in itertools.product((0, 1), repeat=length):
            below = np.all(words[:, :length] == prefix, axis=1)
            yield below & (words[:, length] == 0), below & (words[:, length] == 1)


def _mixed(log_pi: Array, log_mu: Array, beta: float, depth: int) -> tuple[Array, Array]:
    """(log ν, S): ν ∝ π^{1−β} μ^β token by token below every prefix, and S the sum of −log of the normalisers."""
    log_nu, total = np.zeros_like(log_pi), np.zeros_like(log_pi)
    for length in range(depth):
        tree = (2**length, 2, -1)  # prefixes of this length, their next token, what follows it
        tokens = (1 - beta) * _next_token(log_pi.reshape(tree)) + beta * _next_token(log_mu.reshape(tree))
        normaliser = np.logaddexp.reduce(tokens, axis=1, keepdims=True)
        log_nu.reshape(tree)[...] += (tokens - normaliser)[..., None]
        total.reshape(2**length, -1)[...] -= normaliser
    return log_nu, total


def _next_token(log_policy: Array) -> Array:
    """log π(token | prefix), [prefixes, 2], of sequences [prefixes, 2, continuations]."""
    return np.asarray(oracle.log_softmax(np.logaddexp.reduce(log_policy, axis=-1)))


def _fixed(margins: Array, log_mu: Array, tau: float, beta: float, depth: int) -> tuple[Array, Array, Array] | None:
    """(log π, log ν, S) with π = BR_τ(ν) for the token-level mixture ν, by damped iteration; None: not converged."""
    log_pi = log_mu
    for _ in range(4000):
        log_nu = _mixed(log_pi, log_mu, beta, depth)[0]
        reply = oracle.log_softmax(log_mu + margins @ np.exp(log_nu) / tau)
        moved = oracle.log_softmax(0.8 * log_pi + 0.2 * reply)
        if oracle.size(moved - log_pi) < 1e-15 / min(tau, 1.0):
            return np.asarray(reply), *_mixed(np.asarray(reply), log_mu, beta, depth)
        log_pi = np.asarray(moved)
    return None


@claim(
    "N25",
    "where π = BR_τ(ν) for the mixture ν made token by token, ν is π*_{τ/(1−β)} for the reference μe^S, "
    "so ‖ν − q'‖₁ ≤ 2 tanh(osc S/4), KL(ν‖q') ≤ log E_ν e^{−(S − E_ν S)}, ‖π − BR_τ(q')‖₁ ≤ 2 tanh(‖ν − q'‖₁/4τ) and "
    "0 ≤ S ≤ β(1−β)/(8τ²) Σ_t range_t²",
    tolerance=1e-9,
    because="a damped iteration that moves by less than 1e-15/τ, and an equilibrium known to 1e-12",
    twin="S a thousandth smaller",
)
def n25(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N25")
    for k in range(max(10, cases.samples // 8)):
        depth = int(rng.integers(2, 4))
        n = 2**depth
        game = random_game(("uniform", "cyclic", "bradley-terry", "tournament")[k % 4], n, rng)
        tau, beta = float(rng.choice([0.2, 0.5, 1.0, 3.0])), float(rng.uniform(0.05, 0.9))
        game = game.with_reference(random_policy(n, rng))
        found = _fixed(game.margins, game.log_reference, tau, beta, depth)
        if found is None:
            continue
        log_pi, log_nu, total = found
        shifted = np.asarray(oracle.log_softmax(game.log_reference + (0.999 if twin else 1.0) * total))
        hot = tau / (1 - beta)
        exact = regularised_nash(game.with_reference(np.exp(shifted)), hot).log_policy
        plain = regularised_nash(game, hot).log_policy
        win = game.margins @ np.exp(log_nu)
        spread = np.zeros(n)
        for zero, one in _prefixes(depth):
            spread[zero | one] += float(np.ptp(win[zero | one])) ** 2
        off = oracle.l1(log_nu, exact)
        near = oracle.l1(log_nu, plain) - 2 * np.tanh(np.ptp(total) / 4)
        spent = oracle.kl(log_nu, plain) - oracle.log_sum(log_nu - (total - float(np.exp(log_nu) @ total)))
        reply = oracle.log_softmax(game.log_reference + game.margins @ np.exp(plain) / tau)
        reached = oracle.l1(log_pi, reply) - 2 * np.tanh(oracle.l1(log_nu, plain) / (4 * tau))
        small = max(float(np.max(total - beta * (1 - beta) / (8 * tau**2) * spread)), -float(total.min()))
        bad = max(0.0, off, near, spent, reached, small)
        about = {"margins": game.margins.tolist(), "temperature": tau, "beta": beta, "policy": np.exp(log_pi).tolist()}
        yield Observation(bad, lambda about=about: about)
