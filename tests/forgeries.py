"""Answers of our own, and answers that are wrong in one field or in two: those must pass the verifier, these must not.

    python tests/forgeries.py --answers 100000 --forgeries 100000      # about 17 minutes on one core
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from nashlab.answer import answer_of
from nashlab.certify import CertifyError, certify_answer, parsed
from nashlab.equilibrium import nash
from nashlab.files import plain
from nashlab.gallery import FAMILIES, random_game
from nashlab.game import PreferenceGame

Json = dict[str, Any]
Forgery = Callable[[Json, np.random.Generator], bool]  # changes the answer in place; False: it has nothing to forge

TEMPERATURES = (1e-6, 1e-3, 0.01, 0.1, 0.3, 1.0, 3.0, 100.0)


def random_answer(rng: np.random.Generator) -> tuple[PreferenceGame, float, Json]:
    """A game of some kind, a temperature, and our answer as the verifier reads it: every number as its text."""
    n = int(rng.integers(1, 9))
    reference: Any = None if rng.random() < 0.4 else rng.dirichlet(np.ones(n)).tolist()
    if reference and rng.random() < 0.3:
        reference = [Fraction(1 + int(1000 * x)) for x in reference]
        reference = [x / sum(reference) for x in reference]
    kind = rng.integers(4)
    if kind == 0:
        most = int(rng.integers(1, 4))
        whole = np.triu(rng.integers(-most, most + 1, (n, n)), 1)
        game = PreferenceGame.from_margins((whole - whole.T).tolist(), reference=reference)
    elif kind == 1:
        game = random_game(str(rng.choice(FAMILIES)), n, rng).with_reference(reference)
    elif kind == 2:
        game = PreferenceGame.from_wins(rng.integers(1, 50, (n, n)).tolist(), reference=reference)
    else:
        u = rng.normal(size=(n, 2))
        flat = u[:, :1] * u[:, 1] - u[:, 1:] * u[:, 0]
        game = PreferenceGame.from_margins((flat - flat.T) * 10.0 ** rng.integers(-3, 3), reference=reference)
    tau = 0.0 if rng.random() < 0.5 else float(rng.choice([*TEMPERATURES, 10 ** rng.uniform(-8, 4)]))
    return game, tau, parsed(json.dumps(plain(answer_of(nash(game, tau)))))


def accepted(answer: Json) -> bool:
    """Does the verifier refute nothing?"""
    try:
        return all(holds is not False for _, holds, _ in certify_answer(answer))
    except CertifyError:
        return False


# -- forgeries: each makes the answer false --------------------------------------------------------------------------


def _uniform_policy(a: Json, rng: np.random.Generator) -> bool:
    n = len(a["policy"])
    if all(abs(float(p) - 1 / n) < 1e-6 for p in a["policy"]):
        return False
    a["policy"] = [repr(1 / n)] * n
    return True


def _uniform_policies(a: Json, rng: np.random.Generator) -> bool:
    if not _uniform_policy(a, rng) or float(a["certificate"]["l1_bound"] or 0) > 1e-7:
        return False
    a["log_policy"] = [repr(-float(np.log(len(a["policy"]))))] * len(a["policy"])
    return a["certificate"]["l1_bound"] is not None


def _moved_mass(a: Json, rng: np.random.Generator) -> bool:
    x = a["policy_exact"]
    if not x or len(x) < 2:
        return False
    i = next(k for k, v in enumerate(x) if Fraction(v))
    j = int(rng.choice([k for k in range(len(x)) if k != i]))
    step = Fraction(x[i]) / 10 ** int(rng.integers(1, 30))
    x[i], x[j] = str(Fraction(x[i]) - step), str(Fraction(x[j]) + step)
    return True


def _exploitability(a: Json, rng: np.random.Generator) -> bool:
    value = float(a["exploitability"])
    scale = max((abs(Fraction(x)) for row in a["margins_exact"] for x in row), default=Fraction(0))
    forged = float(rng.choice([-1e-3, value + 1e-3 * max(float(scale), float(a["tau"])), 1e300]))
    if forged <= value + 1e-300:  # negative, unless that is what it was
        forged = -1e-3
    a["exploitability"] = repr(forged)
    return True


def _support(a: Json, rng: np.random.Generator) -> bool:
    rest = [x for x in a["labels"] if x not in a["support"]]
    a["support"] = a["support"][1:] if rng.random() < 0.5 or not rest else [*a["support"], rest[0]]
    return True


def _labels(a: Json, rng: np.random.Generator) -> bool:
    if len(a["labels"]) < 2:
        return False
    a["labels"] = [a["labels"][1], *a["labels"][1:]]
    return True


def _unique(a: Json, rng: np.random.Generator) -> bool:
    a["unique"] = not a["unique"]
    return True


def _slacks(a: Json, rng: np.random.Generator) -> bool:
    if not a["slacks"]:
        return False
    i = int(rng.integers(len(a["slacks"])))
    a["slacks"][i] = str(Fraction(a["slacks"][i]) + Fraction(1, 10 ** int(rng.integers(1, 30))))
    return True


def _vertices(a: Json, rng: np.random.Generator) -> bool:
    if not a["face"] or not a["face"]["complete"]:
        return False
    v = a["face"]["vertices"]
    way = rng.integers(4)
    if way == 0:
        v.pop(int(rng.integers(len(v))))
    elif way == 1:
        v.append(v[0])
    elif way == 2:
        v[0] = [str((Fraction(x) + Fraction(y)) / 2) for x, y in zip(v[0], v[1], strict=True)]
    else:
        i = next(k for k, x in enumerate(v[0]) if Fraction(x))
        v[0][i] = str(Fraction(v[0][i]) * (1 + Fraction(1, 10**12)))
    return True


def _dimension(a: Json, rng: np.random.Generator) -> bool:
    if not a["face"]:
        return False
    a["face"]["dimension"] = str(int(a["face"]["dimension"]) + int(rng.choice([-1, 1, 3])))
    return True


def _tau(a: Json, rng: np.random.Generator) -> bool:
    if a["policy_exact"] is None:
        return False
    a["tau"] = rng.choice(["0.1", "-1", "1e-9", "1e300"])
    return True


def _hotter(a: Json, rng: np.random.Generator) -> bool:
    tau, bound = float(a["tau"]), a["certificate"]["l1_bound"]
    if not tau or bound is None or not 1e-3 < tau < 10:
        return False
    margins = [[Fraction(x) for x in row] for row in a["margins_exact"]]
    reference = a["reference_exact"] and [Fraction(x) for x in a["reference_exact"]]
    there = nash(PreferenceGame.from_margins(margins, reference=reference), tau * 1.001)
    a["tau"] = repr(tau * 1.001)
    moved = np.abs(there.policy - np.array([float(x) for x in a["policy"]])).sum()
    return bool(moved > 10 * float(bound) + 1e-9)


def _reference(a: Json, rng: np.random.Generator) -> bool:
    if not a["reference"]:
        return False
    name = rng.choice(["reference", "reference_exact"])
    a[name] = [str(2 * Fraction(x)) for x in a[name]]
    return True


def _other_reference(a: Json, rng: np.random.Generator) -> bool:
    if not a["reference"] or len(a["reference"]) < 2:
        return False
    x, y = (Fraction(v) for v in a["reference_exact"][:2])
    a["reference_exact"][:2] = [str(x * Fraction(99, 100)), str(y + x / 100)]
    return True


def _bound(a: Json, rng: np.random.Generator) -> bool:
    if a["certificate"]["l1_bound"] is None or float(a["certificate"]["l1_bound"]) < 1e-18:
        return False
    a["certificate"]["l1_bound"] = rng.choice(["-1", "2.5", "1e9", "-1e-300"])
    return True


def _status(a: Json, rng: np.random.Generator) -> bool:
    bound = a["certificate"]["l1_bound"]
    if bound is not None and float(bound) > 1e-13 and a["policy_exact"] is None:
        return False  # near the limit either word may be right
    a["status"] = rng.choice([s for s in ("exact", "converged", "stalled", "proved") if s != a["status"]])
    return True


def _kind(a: Json, rng: np.random.Generator) -> bool:
    a["certificate"]["kind"] = rng.choice([k for k in ("rational", "ball", "float") if k != a["certificate"]["kind"]])
    return True


def _rigorous(a: Json, rng: np.random.Generator) -> bool:
    a["certificate"]["rigorous"] = not a["certificate"]["rigorous"]
    return True


def _witness(a: Json, rng: np.random.Generator) -> bool:
    witness = a["certificate"]["witness"]
    if not witness:
        return False
    u = witness["multipliers"]
    held = [i for i, x in enumerate(a["log_policy"]) if x is not None]
    margins = [[Fraction(x) for x in row] for row in a["margins_exact"]]
    felt = [i for i in range(len(u)) if len({margins[k][i] for k in held}) > 1]
    if not felt:
        return False
    i = int(rng.choice(felt))
    largest = max(abs(x) for row in margins for x in row)
    u[i] = str(Fraction(u[i]) + Fraction(int(rng.choice([-1, 1])), 10 ** int(rng.integers(0, 4))) / largest * 1000)
    return True


def _margins(a: Json, rng: np.random.Generator) -> bool:
    n = len(a["margins_exact"])
    i, j = (int(k) for k in rng.integers(n, size=2))
    a["margins_exact"][i][j] = str(Fraction(a["margins_exact"][i][j]) + Fraction(1, 10 ** int(rng.integers(1, 40))))
    return True


def _unknown(a: Json, rng: np.random.Generator) -> bool:
    place = a if rng.random() < 0.5 else a["certificate"]
    place[str(rng.choice(["proof", "slack", "exact", "policy_exct"]))] = "1"
    return True


def _garbage(a: Json, rng: np.random.Generator) -> bool:
    name = str(rng.choice([k for k in a if k not in ("game",)]))
    a[name] = rng.choice(np.array(["x", "1/0", "1e999999999", [["1"]], {"a": "b"}, True], dtype=object))
    # a bare true is what unique may be
    return not (name == "unique" and a[name] is True)


def _logs(a: Json, rng: np.random.Generator) -> bool:
    i = next(k for k, x in enumerate(a["log_policy"]) if x is not None)
    a["log_policy"][i] = repr(float(a["log_policy"][i]) - float(rng.choice([1e-3, 1.0])))
    return float(a["policy"][i]) > 1e-250


FORGERIES: dict[str, tuple[str, Forgery]] = {
    "policy": ("policy", _uniform_policy),
    "both policies": ("policy", _uniform_policies),
    "policy_exact": ("policy_exact", _moved_mass),
    "exploitability": ("exploitability", _exploitability),
    "support": ("support", _support),
    "labels": ("labels", _labels),
    "unique": ("unique", _unique),
    "slacks": ("slacks", _slacks),
    "face.vertices": ("vertices", _vertices),
    "face.dimension": ("dimension", _dimension),
    "tau of an exact answer": ("tau", _tau),
    "tau": ("tau", _hotter),
    "reference": ("reference", _reference),
    "reference_exact": ("reference", _other_reference),
    "l1_bound": ("l1_bound", _bound),
    "status": ("status", _status),
    "kind": ("kind", _kind),
    "rigorous": ("rigorous", _rigorous),
    "witness": ("witness", _witness),
    "margins_exact": ("margins", _margins),
    "an unknown field": ("unknown", _unknown),
    "garbage": ("any", _garbage),
    "log_policy": ("policy", _logs),
}


def forged(answer: Json, names: tuple[str, ...], rng: np.random.Generator) -> Json | None:
    """The answer with these forgeries, or None where one of them finds nothing to forge."""
    false = copy.deepcopy(answer)
    try:
        return false if all(FORGERIES[name][1](false, rng) for name in names) else None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ZeroDivisionError):
        return None  # the first forgery has left the second nothing that it can change


def campaign(answers: int, forgeries: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Counter[str]:
    """How many of our own answers were refuted, and how many forged ones accepted, by kind; both must be none."""
    rng = np.random.default_rng(seed)
    count: Counter[str] = Counter()
    names, each = list(FORGERIES), -(-forgeries // max(answers, 1))
    for k in range(answers):
        _, _, answer = random_answer(rng)
        count["own answers"] += 1
        if not accepted(answer):
            count["own answers refuted"] += 1
            say(f"refuted: {json.dumps(answer)}")
        made = 0
        while made < each:
            picked = tuple(rng.choice(names, size=int(rng.integers(1, 3)), replace=False).tolist())
            fields = {FORGERIES[name][0] for name in picked}
            if len(fields) < len(picked) or ("any" in fields and len(picked) > 1):
                continue  # the second might put right what the first has forged
            false = forged(answer, picked, rng)
            if false is None:
                continue
            made += 1
            count["forged answers"] += 1
            if accepted(false):
                count["forged answers accepted"] += 1
                count["accepted: " + " and ".join(picked)] += 1
                say(f"accepted: {picked} {json.dumps(false)}")
        if (k + 1) % max(1, answers // 50) == 0:
            say(f"{k + 1}/{answers} {dict(count)}")
    return count


def main() -> None:
    """Run the campaign and print the counts as JSON; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--forgeries", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:.0f} s {line[:2000]}", file=sys.stderr, flush=True)

    count = campaign(given.answers, given.forgeries, given.seed, say)
    print(json.dumps({**count, "seconds": round(time.monotonic() - began)}, ensure_ascii=False))
    sys.exit(1 if count["own answers refuted"] or count["forged answers accepted"] else 0)


if __name__ == "__main__":
    main()
