"""Claims about maximal lotteries: E6, E6b and their composition."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from nashlab.certificate import check_lottery, exploitability
from nashlab.claims import Case, Cases, Observation, claim
from nashlab.equilibrium import maximal_lottery
from nashlab.gallery import GALLERY, compose, get
from nashlab.game import PreferenceGame
from nashlab.verify import oracle


@claim(
    "E6",
    "the maximal lotteries {x ≥ 0, Ax ≤ 0, Σx = 1}: exact, all vertices of the face, uniqueness proved; the value is ½",
    tolerance=0.0,
    because="rational arithmetic throughout: known answers, KKT conditions, and every vertex found by enumeration",
    twin="the equilibrium with 1e-6 of its mass moved from its first response to the next",
)
def e6(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, entry in GALLERY.items():
        game = get(name)
        if game.exact is None:
            continue
        answer = maximal_lottery(game)
        policy = list(answer.policy_exact or ())
        if twin and policy:
            moved = next(i for i, p in enumerate(policy) if p > 0)
            shift = min(policy[moved], Fraction(1, 10**6))
            policy[moved] -= shift
            policy[(moved + 1) % game.n] += shift
        off = 0.0
        if policy:
            check = check_lottery(game.exact, policy)
            off = max(0.0, float(-min(check.slacks))) / max(1e-300, float(np.max(np.abs(game.margins)) or 1.0))
            if answer.unique and not check.unique:
                off = max(off, 1.0)
        if entry.lottery is not None and policy:
            off = max(off, float(sum(abs(p - q) for p, q in zip(policy, entry.lottery, strict=True))))
        yield Observation(off, lambda game=game: {"game": game.name, "margins": game.margins.tolist()})
    if twin:
        return
    rng = cases.rng("E6")
    for _ in range(max(10, cases.samples // 4)):
        n = int(rng.integers(1, 5))
        whole = np.triu(rng.integers(-2, 3, (n, n)), 1)
        game = PreferenceGame.from_margins(whole - whole.T, name="small integers")
        answer = maximal_lottery(game)
        found = set(answer.face.vertices) if answer.face else {answer.policy_exact}
        off = 0.0 if found == oracle.all_vertices((whole - whole.T).tolist()) else 1.0
        yield Observation(off, Case(game, 0.0, game.log_reference).describe)


@claim(
    "E6b",
    "a small gap does not certify π: any scale of A has the same lottery, and the trap's answer is its fourth row",
    tolerance=1e-12,
    because="scaling by a power of ten rounds each margin once",
    twin="the policy that the gap alone would accept (uniform on rock, paper, scissors, gap 1e-7)",
)
def e6b(cases: Cases, twin: bool) -> Iterator[Observation]:
    trap = get("gap-trap")
    wrong = np.log([1 / 3, 1 / 3, 1 / 3, 1e-300])
    found = wrong if twin else maximal_lottery(trap, exact=False).log_policy
    gap = float(exploitability(trap, wrong, 0.0))
    yield Observation(
        oracle.l1(found, np.log([1e-300, 1e-300, 1e-300, 1.0])),
        lambda: {"game": "gap-trap", "gap of the uniform policy": gap, "its distance to the equilibrium": 2.0},
        witness=True,
    )
    yield Observation(abs(gap - 1e-7), lambda: {"game": "gap-trap", "gap": gap})
    for name in ("weighted-cycle", "soundquality", "figure-6", "condorcet"):
        game = get(name)
        lottery = maximal_lottery(game, exact=False).log_policy
        for exponent in (-12, -9, -6, 6, 12):
            scaled = PreferenceGame.from_margins(game.margins * 10.0**exponent, name=f"{name} x 1e{exponent}")
            off = oracle.l1(maximal_lottery(scaled, exact=False).log_policy, lottery)
            yield Observation(off, Case(scaled, 0.0, lottery).describe)


@claim(
    "E6.composition",
    "lotteries are invariant under relabelling and scale, split clones' shares, drop dominated responses, compose",
    tolerance=1e-12,
    because="float64 answers of well-separated games; exact ones do not differ",
    twin="a clone given the whole share instead of a part",
)
def composition(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E6.composition")
    for case in itertools.islice(cases.random("E6.composition", min_n=3, max_n=6), 30):
        n = case.game.n
        whole = rng.integers(-9, 10, (n, n))
        rows = [[Fraction(int(np.sign(j - i) * whole[min(i, j), max(i, j)])) for j in range(n)] for i in range(n)]
        base = maximal_lottery(PreferenceGame.from_margins(rows))
        if not base.unique or base.policy_exact is None:
            continue
        order = rng.permutation(n)
        shuffled = maximal_lottery(PreferenceGame.from_margins([[rows[i][j] for j in order] for i in order]))
        off = sum(abs(a - base.policy_exact[i]) for a, i in zip(shuffled.policy_exact or (), order, strict=True))
        copies = [*range(n), 0]
        cloned = maximal_lottery(PreferenceGame.from_margins([[rows[i][j] for j in copies] for i in copies])).policy
        share = cloned[0] if twin else cloned[0] + cloned[n]
        off = max(float(off), abs(share - base.policy[0]), float(np.max(np.abs(cloned[1:n] - base.policy[1:]))))
        bad = [[*row, Fraction(10)] for row in rows] + [[Fraction(-10)] * n + [Fraction(0)]]
        off = max(off, float(maximal_lottery(PreferenceGame.from_margins(bad)).policy[n]))
        inner = get("figure-6").exact
        assert inner is not None
        product = maximal_lottery(PreferenceGame.from_margins(compose(rows, inner))).policy_exact
        known = GALLERY["figure-6"].lottery or ()
        if product is not None:
            off = max(off, float(sum(abs(p - base.policy_exact[i // 3] * known[i % 3]) for i, p in enumerate(product))))
        yield Observation(off, lambda rows=rows: {"margins": [[str(x) for x in row] for row in rows]})
