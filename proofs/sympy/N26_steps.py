"""N26.  A step of extragradient and a proximal step, exactly.

half: log π½ = (log π + ητ log μ + ηPπ)/(1+ητ) + const; full, π₊: the same with Pπ½; proximal: π itself in the place of
both, from a centre ν.  The normalisers drop out, so they are left as symbols.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import eta, interior, kl, logs, mean, nash_reference, ones, preferences, skew, tau
from sympy import Matrix, Symbol


def pulled(log_pi: Matrix, log_mu: Matrix, advantage: Matrix, name: str) -> Matrix:
    """(log π + ητ log μ + ηPν − c)/(1+ητ)."""
    constant = Symbol(name, real=True) * ones(len(log_pi), 1)
    return (log_pi + eta * tau * log_mu + eta * advantage - constant) / (1 + eta * tau)


@derivation("N26", "(1+ητ)KL(q,π₊) = KL(q,π) − ητKL(π½,q) − (1+ητ)KL(π₊,π½) − KL(π½,π) + η⟨A(π½−π), π₊−π½⟩")
def extragradient() -> Iterator[Identity]:
    for n in (2, 3):
        P, q, pi, half, new = preferences(n), *(interior(name, n) for name in ("q", "π", "χ", "ρ"))
        log_mu = nash_reference(q, P, tau)
        log_half = pulled(logs(pi), log_mu, P * pi, "c")
        log_new = pulled(logs(pi), log_mu, P * half, "d")
        # `half` and `new` are the probabilities (any weights of sum 1 would do), `log_...` their logarithms
        left = (1 + eta * tau) * kl(q, logs(q), log_new)
        right = kl(q, logs(q), logs(pi)) - eta * tau * kl(half, log_half, logs(q))
        right -= (1 + eta * tau) * kl(new, log_new, log_half) + K * kl(half, log_half, logs(pi))
        right += eta * mean(new - half, skew(n) * (half - pi))
        yield Identity(f"n = {n}", left - right, true=1, false=0)


@derivation("N26.prox", "a proximal step: KL(q,ν) = (1+ητ)KL(q,π) + ητKL(π,q) + KL(π,ν), any η")
def proximal() -> Iterator[Identity]:
    for n in (2, 3):
        P, q, pi, nu = preferences(n), *(interior(name, n) for name in ("q", "π", "ν"))
        log_pi = pulled(logs(nu), nash_reference(q, P, tau), P * pi, "c")
        right = (1 + eta * tau) * kl(q, logs(q), log_pi) + K * eta * tau * kl(pi, log_pi, logs(q))
        right += kl(pi, log_pi, logs(nu))
        yield Identity(f"n = {n}", kl(q, logs(q), logs(nu)) - right, true=1, false=0)
