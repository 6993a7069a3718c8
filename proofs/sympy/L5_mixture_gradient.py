"""L5, L5b.  The exact gradient of IPO-MD, whose samples come from the mixture ν = m_β ∝ π^{1−β} μ^β.

    ∇ = −(4/τ) { E_ν[ s (p(·≻ν) − ½ − τh) ] + τ E_ν[h] E_ν[s] }.

The paper (Prop 5.1) prints it without the last term, as if E_ν[s] were 0.  But only E_π[s] vanishes; with the
normaliser Z = Σ π^{1−β}μ^β

    E_ν[s] = ∇ log Z / (1 − β)        (tabular softmax: ν − π).

L5b reads the same gradient as online IPO played by the mixture itself, at temperature τ/(1−β).
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from losses import ipo
from notation import (
    Matrix,
    at,
    beta,
    curve,
    gradient,
    half,
    interior,
    kl,
    log,
    logs,
    mean,
    ones,
    preferences,
    simplex,
    tau,
    weights,
)
from sympy import Function, Rational, Symbol


@derivation(
    "L5", "IPO-MD's gradient is −(4/τ){E_ν[s (p(·≻ν) − ½ − τh)] + τ E_ν[h] E_ν[s]}; the paper omits the last term"
)
def corrected() -> Iterator[Identity]:
    t = Symbol("t", real=True)
    for n in (2, 3, 4):
        P, log_mu, nu = preferences(n), logs(weights("μ", n)), interior("ν", n)
        log_pi = Matrix([Function(f"l{y + 1}", real=True)(t) for y in range(n)])
        h, s = log_pi - log_mu, log_pi.diff(t)
        printed = mean(nu, s.multiply_elementwise(P * nu - half * ones(n, 1) - tau * h))
        missing = tau * mean(nu, h) * mean(nu, s)
        exact = ipo(h, nu, P).diff(t)
        yield Identity(f"corrected gradient, n = {n}", exact + 4 / tau * (printed + K * missing), true=1, false=0)
        yield Identity(f"with its constant, n = {n}", exact + K / tau * (printed + missing), true=4, false=2)

    for n in (2, 3):
        w, mu = weights("w", n), weights("μ", n)
        mixed = Matrix([x ** (1 - beta) * m**beta for x, m in zip(w, mu, strict=True)])
        log_z = log(sum(mixed)) - (1 - beta) * log(sum(w))  # Z = Σ π^{1−β}μ^β at π = w/Σw
        mean_score = simplex(mixed) - simplex(w)  # E_ν[e_y − π]
        drift = (1 - K * beta) * mean_score - gradient(log_z, w)
        yield Identity(f"E_ν[s] = ∇ log Z/(1−β) = ν − π, n = {n}", drift, true=1, false=0)

    # the smallest counterexample to the printed form: π = (½, ½), μ = (1/10, 9/10), β = ½, every P and τ
    pi, mu = Matrix([half, half]), Matrix([Rational(1, 10), Rational(9, 10)])
    nu = Matrix([Rational(1, 4), Rational(3, 4)])  # ∝ √μ
    off = -4 * mean(nu, logs(pi) - logs(mu)) * (nu - pi)[0]
    yield Identity(
        "counterexample: off by log 5 − (3/2) log 3", off - log(5) + K * log(3), true=Rational(3, 2), false=1
    )


@derivation("L5b", "∇ IPO-MD(β) = (1−β)⁻² ∇ onlineIPO(ν, τ/(1−β)) = −4/(τ(1−β)) ∇[P(ν ≻ SG ν) − τ/(1−β) KL(ν‖μ)]")
def reading() -> Iterator[Identity]:
    t = Symbol("t", real=True)
    share = Symbol("1−β", positive=True)  # π's share in the mixture
    hot = tau / share
    for n in (2, 3):
        P, log_mu, v = preferences(n), logs(weights("μ", n)), weights("v", n)
        nu = curve("ν", n, t)  # any smooth curve of mixtures, from which π ∝ (ν μ^−β)^{1/(1−β)}
        log_z = Function("logZ", real=True)(t)
        log_pi = (logs(nu) - (1 - share) * log_mu + log_z * ones(n, 1)) / share

        ipo_md = ipo(log_pi - log_mu, v, P).diff(t)
        online = ipo(logs(nu) - log_mu, v, P, hot).diff(t)
        yield Identity(f"online IPO of the mixture, n = {n}", ipo_md - share**-K * online, true=2, false=1)

        game = (mean(nu, P * v) - hot * kl(nu, logs(nu), log_mu)).diff(t)
        equal = at(ipo_md + K / (tau * share) * game, v, nu)
        yield Identity(f"self-play of the mixture, n = {n}", equal, true=4, false=2)
