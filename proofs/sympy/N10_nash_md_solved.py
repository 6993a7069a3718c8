"""N10.  Nash-MD with a constant step, solved.

Its update is  log m = (1−ητ) log π + ητ log μ,  log π₊ = log m + ηPm  (modulo constants).  Let τ' = τ/(1−ητ).  Then

    log m = log μ + Pm/τ',      log π = log μ + Pm/τ:

so m is the equilibrium at τ' and π the best response to it at τ.  In terms of the mixtures alone, the update *is* OMD
and is MMD at τ'.  Run at τ̃ = τ/(1+ητ) instead, the stationary mixture is π*_τ itself.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import Matrix, eta, interior, logs, preferences, residual, spread, tau, weights


def mixture(log_pi: Matrix, log_mu: Matrix) -> Matrix:
    return (1 - eta * tau) * log_pi + eta * tau * log_mu


@derivation(
    "N10", "Nash-MD at rest: m = π*_τ', π = BR_τ(m), τ' = τ/(1−ητ); its mixtures are OMD(η(1−ητ), τ') and MMD(η, τ')"
)
def solved() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, log_mu, m = preferences(n), logs(weights("μ", n)), interior("m", n)
        payoff = P * m
        log_m = log_mu + payoff * (1 - K * eta * tau) / tau  # the equilibrium at τ' (log_m stands for log m there)
        log_pi = log_mu + payoff / tau
        yield Identity(f"at rest the mixture is m, n = {n}", spread(mixture(log_pi, log_mu) - log_m), true=1, false=2)
        yield Identity(f"and the update returns π, n = {n}", spread(log_m + eta * payoff - log_pi), true=1, false=2)
        hot = tau / (1 - K * eta * tau)
        r = residual(mixture(log_pi, log_mu), m, log_mu, P, hot)
        yield Identity(f"m is the equilibrium at τ', n = {n}", spread(r), true=1, false=2)

        new_m = mixture(logs(m) + eta * payoff, log_mu)
        step, hot = eta * (1 - eta * tau), tau / (1 - eta * tau)
        omd = (1 - step * hot) * logs(m) + step * hot * log_mu + K * step * payoff
        yield Identity(f"the mixtures are OMD(η(1−ητ), τ'), n = {n}", new_m - omd, true=1, false=2)
        mmd = (logs(m) + eta * hot * log_mu + K * eta * payoff) / (1 + eta * hot)
        yield Identity(f"the mixtures are MMD(η, τ'), n = {n}", new_m - mmd, true=1, false=2)

    tilde = tau / (1 + K * eta * tau)
    yield Identity("run at τ/(1+ητ) it is de-biased", tilde / (1 - eta * tilde) - tau, true=1, false=2)
    # π differs from the equilibrium q of its own τ because m is that of τ': the gap in inverse temperature
    yield Identity("1/τ − 1/τ' = η", 1 / tau - (1 - eta * tau) / tau - K * eta, true=1, false=2)
