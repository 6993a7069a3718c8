"""E1.  The regularised game  J(π', π) = P(π' ≻ π) − τ KL(π'‖μ) + τ KL(π‖μ).

Against a fixed opponent π the best reply maximises J(·, π) over the simplex.  With a multiplier κ for Σπ' = 1,

    ∂/∂π'_y [J(π', π) − κ(Σπ' − 1)]  =  (Pπ)_y − τ (log π'_y − log μ_y + 1) − κ,

which vanishes exactly at π' ∝ μ e^{Pπ/τ}; an equilibrium is a policy that is its own best reply.
"""

from collections.abc import Iterator

from derivation import Identity, K, derivation
from notation import J, at, half, logs, ones, preferences, residual, simplex, spread, tau, weights
from sympy import Matrix, Symbol, diag, hessian


@derivation("E1", "π is a symmetric equilibrium iff π ∝ μ exp(p(y ≻ π)/τ): stationarity of J with a multiplier")
def equilibrium() -> Iterator[Identity]:
    for n in (2, 3, 4):
        P, mu, pi, reply = preferences(n), weights("μ", n), simplex(weights("w", n)), weights("x", n)
        kappa, log_z = Symbol("κ", real=True), Symbol("logZ", real=True)

        lagrangian = J(reply, logs(reply), pi, logs(pi), P, logs(mu)) - kappa * (sum(reply) - 1)
        slope = Matrix([lagrangian.diff(x) for x in reply])

        best = logs(mu) + P * pi / tau - log_z * ones(n, 1)  # log of μ e^{Pπ/τ}/Z
        at_best = at(slope, logs(reply), best).subs(kappa, tau * (log_z - K))
        yield Identity(f"μ e^(Pπ/τ)/Z is stationary, n = {n}", at_best, true=1, false=0)

        # and nothing else is: slopes that agree force r = log π' − log μ − Pπ/τ to be constant
        r = residual(logs(reply), pi, logs(mu), P, tau)
        yield Identity(f"stationary iff r is constant, n = {n}", spread(slope) + K * tau * spread(r), true=1, false=2)

        curvature = hessian(lagrangian, list(reply)) + K * tau * diag(*[1 / x for x in reply])
        yield Identity(f"J is strictly concave in its first argument, n = {n}", curvature, true=1, false=2)

        other = simplex(weights("v", n))
        there, back = (J(x, logs(x), y, logs(y), P, logs(mu)) for x, y in ((pi, other), (other, pi)))
        yield Identity(f"J(π, π') + J(π', π) = 1, n = {n}", there + back - K, true=1, false=half)
