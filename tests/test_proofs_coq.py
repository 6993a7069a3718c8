"""The machine-checked theorems: they build, they rest on the reals and extensionality alone, and a hole is found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from definitions.sources import script

PROOFS = Path(__file__).resolve().parent.parent / "proofs"
axioms = script("check_axioms")

needs_coq = pytest.mark.skipif(
    shutil.which("coqc") is None, reason="coqc is not installed (Debian: apt-get install coq libcoq-coquelicot)"
)

#: Identifiers with a theorem for every n; a file that loses them must not pass.
PROVED = {
    f"{family}{number}"
    for family, numbers in {
        "E": range(1, 8), "L": (*range(1, 15), *range(16, 19), "5b"), "R": range(1, 4),
        "N": range(1, 30), "S": (2,)
    }.items()
    for number in numbers
}  # fmt: skip


#: The theorems for the parts of statements of several parts, all of which PAPER.md calls proved.
PARTS = {
    "N23": {
        "N23_win_rate_against_the_equilibrium", "N23_divergence_grows", "N23_largest_divergence", "N23_frontier",
        "N23_frontier_simple",
    },
    "N28": {"N28_slope", "N28_gap_bound", "N28_zero_at_the_equilibrium"},
}  # fmt: skip


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the sources are compiled, each once."""
    return tmp_path_factory.mktemp("coq")


@needs_coq
@pytest.mark.parametrize("module", axioms.build_order(axioms.SOURCES))
def test_a_source_compiles_and_is_left_alone(compiled: Path, module: str) -> None:
    before = listing(axioms.SOURCES)
    axioms.build(axioms.SOURCES, compiled, module)
    assert (compiled / f"{module}.vo").exists()
    assert listing(axioms.SOURCES) == before


@needs_coq
def test_every_theorem_is_proved_from_the_whitelist(compiled: Path) -> None:
    axioms.build(axioms.SOURCES, compiled)
    verdict = axioms.judge(compiled)
    assert verdict.holds, verdict.offenders
    assert verdict.axioms, "real analysis without an axiom: the output of Coq was not read"
    assert {statement.module for statement in verdict.statements} == set(axioms.build_order(axioms.SOURCES))
    identifiers = {statement.name.split("_")[0] for statement in verdict.statements if statement.is_headline}
    assert identifiers >= PROVED, PROVED - identifiers


@pytest.mark.parametrize("row", PARTS)
def test_every_part_of_a_statement_that_is_called_proved_has_its_theorem(row: str) -> None:
    assert {statement.name for statement in axioms.statements(axioms.SOURCES)} >= PARTS[row]
    assert row not in script("map").paper.named_open((PROOFS / "README.md").read_text(encoding="utf-8"))


@needs_coq
def test_an_admitted_lemma_is_found_and_named() -> None:
    verdict = axioms.self_test()
    assert not verdict.holds
    assert set(verdict.offenders) == {"Nashlab.Planted.hole", "Nashlab.Planted.E0_planted"}


@needs_coq
@pytest.mark.parametrize("hole", [
    "Axiom hole : forall x, 0 <= x.",
    "Parameter hole : forall x, 0 <= x.",
    "Definition hole : forall x, 0 <= x.\nAdmitted.",
])  # fmt: skip
def test_an_axiom_in_other_clothes_is_found(hole: str) -> None:
    planted = axioms.PLANTED.replace("Lemma hole x : 0 <= x.\nAdmitted.", hole)
    assert planted != axioms.PLANTED
    verdict = axioms.self_test(planted)
    assert set(verdict.offenders) == {"Nashlab.Planted.E0_planted"}


@needs_coq
def test_the_same_file_without_its_hole_passes() -> None:
    sound = axioms.PLANTED.replace("Lemma hole x : 0 <= x.\nAdmitted.", "").replace("0 <= -1", "0 <= 1")
    assert axioms.self_test(sound.replace("apply hole", "apply Rle_0_1")).holds


@needs_coq
def test_a_wrong_proof_is_an_error_in_the_words_of_coq() -> None:
    wrong = axioms.PLANTED.replace("Admitted.", "Proof. apply Rle_refl. Qed.")
    with pytest.raises(axioms.ProofError, match=r"Planted\.v does not compile"):
        axioms.self_test(wrong)


def test_no_source_says_admitted() -> None:
    forbidden = re.compile(r"\b(Admitted|admit|Axiom|Conjecture|Parameter|bypass_check)\b|Unset\s+Guard")
    for path in axioms.SOURCES.glob("*.v"):
        text = axioms.without_comments(path.read_text(encoding="utf-8"))
        assert forbidden.search(text) is None, path.name


def test_statements_inside_comments_do_not_count(tmp_path: Path) -> None:
    text = "(* Theorem E1_a : (* nested *) True. *)\nTheorem E2_b : True.\nLocal Lemma c : True.\n"
    (tmp_path / "Some.v").write_text(text, encoding="utf-8")
    assert [statement.qualified for statement in axioms.statements(tmp_path)] == ["Nashlab.Some.E2_b", "Nashlab.Some.c"]
    assert [statement.is_headline for statement in axioms.statements(tmp_path)] == [True, False]


def test_modules_are_compiled_after_those_they_require() -> None:
    order = axioms.build_order(axioms.SOURCES)
    assert set(order) == {path.stem for path in axioms.SOURCES.glob("*.v")}
    assert order.index("Basics") < order.index("Game") < order.index("Equilibrium") < order.index("Existence")


def test_output_that_is_not_understood_is_not_an_allowed_axiom() -> None:
    printed = "Axioms:\nClassical_Prop.classic : forall P : Prop, P \\/ ~ P\nlong.name\n  : forall n, n = 0\n"
    assert axioms.parse_axioms(printed) == {"Classical_Prop.classic", "long.name"}
    assert axioms.parse_axioms("Closed under the global context\n") == frozenset()
    assert axioms.parse_axioms("x relies on an unsafe hierarchy.\n") - axioms.ALLOWED


def test_the_editor_uses_the_options_of_the_check() -> None:
    project = (axioms.SOURCES / "_CoqProject").read_text(encoding="utf-8").replace("-arg ", "").split()
    assert project == [option for option in (*axioms.OPTIONS[-3:], *axioms.OPTIONS[1:3])]
