"""What can be proved about any policy: exploitability, distance to the exact equilibrium, exact optimality.

Everything here depends on (game, log-policy, τ) alone, not on the solver.  There are three levels of rigour:

floats     float64, fast and batched, ignoring its own rounding                  E2, E3, N14
balls      every rounding enclosed, for the numbers as printed: by ball arithmetic for small games, by a-priori rounding
           bounds of whole products (:mod:`nashlab.certificate.rounding`) for large ones
rationals  maximal lotteries (τ = 0): optimality itself, decided exactly        E6
"""

from nashlab.certificate.balls import bound_rational, certify_ball, enclose_lottery, enclose_projection
from nashlab.certificate.floats import Certificate, best_response, certify, exploitability, gap, residual
from nashlab.certificate.rationals import ExactCheck, check_lottery

__all__ = [
    "Certificate",
    "ExactCheck",
    "best_response",
    "bound_rational",
    "certify",
    "certify_ball",
    "check_lottery",
    "enclose_lottery",
    "enclose_projection",
    "exploitability",
    "gap",
    "residual",
]
