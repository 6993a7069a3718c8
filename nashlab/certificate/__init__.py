"""What any policy proves about itself: exploitability, distance to the exact equilibrium, exact optimality.

Everything here is a function of (game, log-policy, τ) alone and knows no solver.  It comes in three strengths:

floats     float64, fast and batched, its own rounding not accounted for        E2, E3, N14
balls      every rounding enclosed: by ball arithmetic where a game is small, by a-priori bounds of the rounding of
           whole products (:mod:`nashlab.certificate.rounding`) where it is large; about the numbers that are printed
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
