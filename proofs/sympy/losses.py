"""The pairwise losses of theory §3, one family:  GPO(f) = E_{y,y'~ν} [p f(τd) + (1−p) f(−τd)],  d = h(y) − h(y').

The samples ν are data (the paper's SG[ν]): only h is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp
from notation import half, sigmoid, tau
from sympy import Matrix


def gpo(f: Callable[[sp.Expr], sp.Expr], h: Matrix, nu: Matrix, P: Matrix, temperature: sp.Expr = tau) -> sp.Expr:
    """E_{y,y'~ν} [p f(τd) + (1−p) f(−τd)], both orders of every pair."""
    total = sp.Integer(0)
    for y in range(len(h)):
        for z in range(len(h)):
            x = temperature * (h[y] - h[z])
            total += nu[y] * nu[z] * (P[y, z] * f(x) + (1 - P[y, z]) * f(-x))
    return total


def ipo(h: Matrix, nu: Matrix, P: Matrix, temperature: sp.Expr = tau) -> sp.Expr:
    """f(x) = (x − ½)²/τ², that is p (d − 1/2τ)² + (1−p) (−d − 1/2τ)²."""
    return gpo(lambda x: (x - half) ** 2 / temperature**2, h, nu, P, temperature)


def dpo(h: Matrix, nu: Matrix, P: Matrix) -> sp.Expr:
    """f(x) = −log σ(x)."""
    return gpo(lambda x: -sp.log(sigmoid(x)), h, nu, P)


def slic_inside(h: Matrix, nu: Matrix, P: Matrix) -> sp.Expr:
    """f(x) = max(0, 1 − x) while every |τd| < 1: there f(x) = 1 − x."""
    return gpo(lambda x: 1 - x, h, nu, P)
