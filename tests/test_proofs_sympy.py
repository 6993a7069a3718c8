"""The symbolic derivations of proofs/sympy: every identity is 0, every control is not, and the machinery can tell.

The scripts are loaded by path.  Their folder is called sympy: what must never be on ``sys.path`` is its parent.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sympy as sp

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "proofs" / "sympy"


def load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nashlab_derivations_run", SCRIPTS / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUN = load_runner()
REGISTRY = RUN.load()
D = sys.modules["derivation"]
x, y = sp.symbols("x y", positive=True)

# the identifiers of theory.md whose algebra or calculus the scripts cover
COVERED = (
    "E1 E2 E3 E4 E7 L1 L2 L3 L4 L5 L5b L6 L7 L8 L9 L10 L11 L12 L13 L14 L16 L17 "
    "R1 R2 R3 N1 N3 N4 N5 N6 N7 N8 N9 N10 N11 N12 N13 N14 N15 N16 N17 N18 "
    "N23 N26 N28 N29 N30"
)


@pytest.mark.parametrize("identifier", REGISTRY)
def test_every_identity_is_zero_and_every_control_is_not(identifier: str) -> None:
    report = D.check(REGISTRY[identifier])
    assert not report.failures
    assert report.status == "proved"
    assert len(set(report.identities)) == len(report.identities) > 0


def test_the_derivations_cover_the_theory() -> None:
    assert {identifier.split(".")[0] for identifier in REGISTRY} == set(COVERED.split())


def test_the_library_is_not_shadowed_by_the_folder_of_its_name() -> None:
    assert SCRIPTS.parent not in {Path(entry or ".").resolve() for entry in sys.path}
    assert SCRIPTS not in Path(sp.__file__).resolve().parents
    assert not (SCRIPTS / "__init__.py").exists()


def derived(*identities: Any) -> Any:
    """What the machinery says of a derivation made of these identities."""
    return D.check(D.Derivation("X1", "a derivation for this test", lambda: iter(identities)))


def true_identity(**changes: Any) -> Any:
    """(x + y)² = x² + K xy + y² at K = 2, refuted at K = 1; with ``changes``, a wrong one."""
    parts = {"expression": (x + y) ** 2 - x**2 - D.K * x * y - y**2, "true": 2, "false": 1}
    return D.Identity("binomial", **(parts | changes))


def test_a_right_derivation_passes() -> None:
    report = derived(true_identity())
    assert (report.status, report.failures, report.identities) == ("proved", (), ("binomial",))


@pytest.mark.parametrize(
    ("identity", "complaint"),
    [
        pytest.param(true_identity(true=3), "does not simplify to 0 at K = 3", id="wrong identity"),
        pytest.param(true_identity(true=sp.Rational(20001, 10000)), "does not simplify", id="off by 1 in 20,000"),
        pytest.param(true_identity(false=2), "the control K = 2 is 0 too", id="control that is the truth"),
        pytest.param(
            true_identity(expression=(D.K - 2) * (D.K - 1) * x), "the control K = 1 is 0 too", id="control that is zero"
        ),
        pytest.param(
            true_identity(expression=sp.sin(D.K * x) ** 2 + sp.cos(D.K * x) ** 2 - 1), "is 0 too", id="zero unseen"
        ),
        pytest.param(true_identity(expression=x - x), "K does not occur", id="nothing on trial"),
        pytest.param(
            true_identity(expression=sp.Matrix([(D.K - 2) * x, x - 3 * y])), "does not simplify", id="one entry of two"
        ),
    ],
)
def test_a_wrong_derivation_is_caught(identity: Any, complaint: str) -> None:
    report = derived(true_identity(), identity)
    assert report.status == "FAILED"
    assert len(report.failures) == 1
    assert complaint in report.failures[0]


def test_a_derivation_without_identities_proves_nothing() -> None:
    assert derived().status == "FAILED"


def test_a_simplifier_that_errs_is_contradicted_by_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(D, "vanishes", lambda expression: True)
    assert "its numeric value is not 0" in derived(true_identity(true=3)).failures[0]


def test_an_unproved_inequality_fails_its_derivation() -> None:
    def identities() -> Iterator[Any]:
        yield true_identity()
        yield true_identity(expression=D.K * D.nonnegative(x - y))

    report = D.check(D.Derivation("X1", "a derivation for this test", identities))
    assert report.status == "FAILED"
    assert "not manifestly nonnegative" in report.failures[0]
    assert D.nonnegative((x - y) ** 2) == (x - y) ** 2


def test_undefined_functions_and_their_derivatives_are_free() -> None:
    t = sp.Symbol("t", real=True)
    f = sp.Function("f", real=True)(t)
    leibniz = (f**2).diff(t) - D.K * f * f.diff(t)
    assert derived(true_identity(expression=leibniz)).status == "proved"
    assert derived(true_identity(expression=f.diff(t) - D.K * f)).status == "FAILED"


# the paper's printed forms, which the corrected statements replace: the scripts must refuse them as truths
@pytest.mark.parametrize(
    ("identifier", "printed"), [("L1", 2), ("L5", 0)], ids=["L1 with 2/τ", "L5 without its last term"]
)
def test_the_printed_forms_are_refuted(identifier: str, printed: int) -> None:
    first: Any = next(iter(REGISTRY[identifier].identities()))
    assert first.false == printed
    report = derived(first._replace(true=printed, false=first.true))
    assert any(f"does not simplify to 0 at K = {printed}" in failure for failure in report.failures)
    assert any(f"the control K = {first.true} is 0 too" in failure for failure in report.failures)


def test_two_derivations_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two derivations are called L1"):
        D.derivation("L1", "again")(lambda: iter(()))


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "run.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_runner_prints_json() -> None:
    result = script("L13", "R1", "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["derivations"]
    assert [(row["id"], row["status"], row["failures"]) for row in rows] == [
        ("L13", "proved", []),
        ("R1", "proved", []),
    ]
    assert all(row["identities"] and row["seconds"] > 0 and row["statement"] for row in rows)


def test_the_runner_names_what_it_does_not_know() -> None:
    result = script("L99")
    assert result.returncode == 2
    assert "no derivation is called L99" in result.stderr


def test_the_runner_fails_when_a_derivation_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identities: Callable[[], Iterator[Any]] = lambda: iter([true_identity(true=3)])  # noqa: E731
    monkeypatch.setitem(D.REGISTRY, "L99", D.Derivation("L99", "a wrong one", identities))
    assert RUN.main(["L99"]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(("complaint", "said"), [("Traceback\nMemoryError", "MemoryError"), ("", "exit code -9")])
def test_derivations_that_end_without_an_answer_are_a_row_that_fails(
    complaint: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nashlab.verify import proofs

    ended = subprocess.CompletedProcess([], -9, stdout="", stderr=complaint)
    monkeypatch.setattr(proofs.subprocess, "run", lambda *_, **__: ended)
    (row,) = proofs._derivations(SCRIPTS.parent)
    assert (row.id, row.status) == ("sympy", "fail")
    assert said in row.counterexample["error"]
