"""N11.  One step of MMD, exactly.

π₊ ∝ (π μ^{ητ} e^{ηPπ})^{1/(1+ητ)}; let π̂ ∝ π e^{ηPπ} be the step without the magnet.  Then, for the equilibrium q,

    (1+ητ) KL(q,π₊) + ητ KL(π₊‖μ) = KL(q,π) + ητ KL(π‖μ) + ψ − ητ KL(π‖q) − KL(π₊‖π̂),     ψ = log E_π e^{η(Pπ − ½)},

and ψ ≤ η²/24 by N9.  The normaliser c₊ of π₊ drops out, so it is left as a symbol.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import eta, exp, half, interior, kl, log, logs, mean, nash_reference, ones, preferences, tau
from sympy import Symbol


@derivation("N11", "(1+ητ)KL(q,π₊) + ητKL(π₊‖μ) = KL(q,π) + ητKL(π‖μ) + ψ − ητKL(π‖q) − KL(π₊‖π̂)")
def mmd_step() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, q, pi, new = preferences(n), interior("q", n), interior("π", n), interior("ρ", n)
        log_mu, one = nash_reference(q, P, tau), ones(n, 1)
        tilt = eta * (P * pi - half * one)
        psi = log(mean(pi, tilt.applyfunc(exp)))
        log_hat = logs(pi) + tilt - psi * one
        log_new = (logs(pi) + eta * tau * log_mu + tilt - Symbol("c", real=True) * one) / (1 + eta * tau)
        # `new` are the probabilities of π₊ (any weights of sum 1 would do), `log_new` their logarithms
        left = (1 + eta * tau) * kl(q, logs(q), log_new) + eta * tau * kl(new, log_new, log_mu)
        right = kl(q, logs(q), logs(pi)) + eta * tau * kl(pi, logs(pi), log_mu) + psi
        right -= K * eta * tau * kl(pi, logs(pi), logs(q)) + kl(new, log_new, log_hat)
        yield Identity(f"n = {n}", left - right, true=1, false=0)
