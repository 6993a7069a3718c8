"""Claims about extragradient steps with the step size that needs no tuning (N26)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nashlab.algorithms import REGISTRY
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.verify import oracle, subject
from nashlab.verify.oracle import Array


def _moved(case: Case, log_pi: Array, log_opponent: Array, step: float) -> Array:
    """(log π + ητ log μ + ηAν)/(1 + ητ), normalised."""
    game, tau, _ = case
    pulled = log_pi + step * tau * game.log_reference + step * game.margins @ np.exp(log_opponent)
    return np.asarray(oracle.log_softmax(pulled / (1 + step * tau)))


@claim(
    "N26",
    "extragradient with η = 2(τ + √(1 + τ²)): KL(q,π₊) ≤ e^{−2 arcsinh τ} KL(q,π) from any start, by an exact identity",
    tolerance=1e-9,
    because="relative to KL(q,π), or to 1e-6 if that is smaller: sums of terms known to 1e-16 of their size",
    twin="the term KL(π½,π) a thousandth smaller in the identity, and twice the step in the rate",
)
def n26(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("N26")
    egpo = REGISTRY["egpo"]
    for case in cases.all("N26"):
        game, tau, _ = case
        log_q = subject.solved(game, tau)
        for spread in (0.1, 1.0, 5.0):
            log_pi = np.asarray(oracle.log_softmax(log_q + spread * rng.normal(size=game.n)))
            step = 2 * (tau + np.sqrt(1 + tau**2)) * (2.0 if twin else 1.0)
            log_half = _moved(case, log_pi, log_pi, step)
            log_next = _moved(case, log_pi, log_half, step)
            before, after = oracle.kl(log_q, log_pi), oracle.kl(log_q, log_next)
            game_term = (np.exp(log_next) - np.exp(log_half)) @ game.margins @ (np.exp(log_half) - np.exp(log_pi))
            written = (
                before - step * tau * oracle.kl(log_half, log_q) - (1 + step * tau) * oracle.kl(log_next, log_half)
            )
            written += step * float(game_term) - (0.999 if twin else 1.0) * oracle.kl(log_half, log_pi)
            scale = max(before, abs(written), 1.0 / tau * 1e-2)
            off = abs((1 + step * tau) * after - written) / (1 + step * tau) / scale
            rate = (after - np.exp(-2 * np.arcsinh(tau)) * before) / max(before, 1e-6)
            apart = (
                oracle.size(subject.last(egpo, case._replace(log_policy=log_pi), step / (1 + step * tau)) - log_next)
                * tau
            )
            yield Observation(max(0.0, off, rate, apart), case._replace(log_policy=log_pi).describe)
