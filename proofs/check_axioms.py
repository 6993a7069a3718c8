"""Build the Coq proofs and compare every axiom they rest on with a whitelist:  python proofs/check_axioms.py

A theorem proved from an `Admitted` lemma, a stray `Axiom` or a `Variable` outside a section depends on an axiom that
Coq's `Print Assumptions` names; anything except the classical reals and functional extensionality is an error.  The
list of theorems is read from the sources, so it cannot go out of date.  `--self-test` plants an admitted lemma and
requires the same check to find it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "coq"
LIBRARY = "Nashlab"
OPTIONS = ("-q", "-w", "-ambiguous-paths", "-Q", ".", LIBRARY)  # the warning is about Coquelicot's own coercions

#: The axioms of Coq's real numbers and Coquelicot, and no others.
ALLOWED = frozenset(
    {
        "ClassicalDedekindReals.sig_forall_dec",
        "ClassicalDedekindReals.sig_not_dec",
        "Classical_Prop.classic",
        "FunctionalExtensionality.functional_extensionality_dep",
    }
)

#: A headline theorem opens with the identifier of the theory: E2_exploitability_identity, R2_one_step, ...
HEADLINE = re.compile(r"(E|L|R|N|S)\d+[a-z]*_")
STATEMENT = re.compile(
    r"^\s*(?:Local\s+|Global\s+)?(?:Theorem|Lemma|Corollary|Proposition|Fact|Remark)\s+([\w']+)", re.MULTILINE
)
COMMENT = re.compile(r"\(\*(?:(?!\(\*|\*\)).)*\*\)", re.DOTALL)

PLANTED = """From Coq Require Import Reals.
Open Scope R_scope.
Lemma hole x : 0 <= x.
Admitted.
Theorem E0_planted : 0 <= -1.
Proof. apply hole. Qed.
Theorem E0_sound x : x + 0 = x.
Proof. apply Rplus_0_r. Qed.
"""


class ProofError(RuntimeError):
    """Coq is absent, or a file did not compile: the message contains Coq's output."""


@dataclass(frozen=True)
class Statement:
    """A theorem or lemma of the sources."""

    module: str
    name: str

    @property
    def qualified(self) -> str:
        """The full name, valid under any imports."""
        return f"{LIBRARY}.{self.module}.{self.name}"

    @property
    def is_headline(self) -> bool:
        """Whether it carries an identifier of the theory."""
        return HEADLINE.match(self.name) is not None


@dataclass(frozen=True)
class Verdict:
    """The axioms that the statements depend on, and which statements depend on a forbidden one."""

    statements: tuple[Statement, ...]
    axioms: frozenset[str]
    offenders: dict[str, frozenset[str]]

    @property
    def forbidden(self) -> frozenset[str]:
        """Axioms outside the whitelist."""
        return self.axioms - ALLOWED

    @property
    def holds(self) -> bool:
        """Whether every statement depends only on whitelisted axioms."""
        return not self.forbidden


def without_comments(text: str) -> str:
    """The source with its (nested) comments removed."""
    while (shorter := COMMENT.sub(" ", text)) != text:
        text = shorter
    return text


def statements(sources: Path) -> tuple[Statement, ...]:
    """Every theorem and lemma of the .v files, in file order."""
    return tuple(
        Statement(path.stem, name)
        for path in sorted(sources.glob("*.v"))
        for name in STATEMENT.findall(without_comments(path.read_text(encoding="utf-8")))
    )


def build_order(sources: Path) -> list[str]:
    """The modules, each after those it requires."""
    requires = re.compile(rf"From\s+{LIBRARY}\s+Require\s+(?:Import\s+|Export\s+)?([\w\s]+)\.")
    graph = {
        path.stem: {name for found in requires.findall(path.read_text(encoding="utf-8")) for name in found.split()}
        for path in sources.glob("*.v")
    }
    return [name for name in TopologicalSorter(graph).static_order() if name in graph]


def coq(folder: Path, file: str) -> str:
    """Compile one file in its folder and return what it printed."""
    if shutil.which("coqc") is None:
        raise ProofError("coqc is not installed (Debian: apt-get install coq libcoq-coquelicot)")
    done = subprocess.run(["coqc", *OPTIONS, file], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProofError(f"{file} does not compile:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(sources: Path, folder: Path, last: str | None = None) -> None:
    """Compile in a folder what is not yet compiled there: copies of all sources, or those up to one in build order."""
    for module in build_order(sources):
        if not (folder / f"{module}.vo").exists():
            shutil.copy(sources / f"{module}.v", folder)
            coq(folder, f"{module}.v")
        if module == last:
            return


def parse_axioms(printed: str) -> frozenset[str]:
    """The names in the output of `Print Assumptions`; an unknown line is returned as it is, so that the check fails."""
    lines = [line for line in printed.splitlines() if line.strip() and not line[0].isspace()]
    return frozenset(
        line.split(" :")[0].strip()
        for line in lines
        if line.strip() not in {"Axioms:", "Closed under the global context"}
    )


def axioms_of(folder: Path, subjects: tuple[Statement, ...]) -> frozenset[str]:
    """The axioms on which a set of statements depends, from one call of Coq."""
    modules = " ".join(sorted({subject.module for subject in subjects}))
    uses = "\n".join(f"  let _ := @{subject.qualified} in" for subject in subjects)
    question = (
        f"From {LIBRARY} Require {modules}.\n"
        f"Definition everything : unit :=\n{uses}\n  tt.\n"
        "Print Assumptions everything.\n"
    )
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="Question", suffix=".v", delete=False) as file:
        file.write(question)
    return parse_axioms(coq(folder, Path(file.name).name))


def offenders(folder: Path, subjects: tuple[Statement, ...], axioms: frozenset[str]) -> dict[str, frozenset[str]]:
    """The statements that depend on a forbidden axiom, by bisection, since each call of Coq takes a second."""
    bad = axioms - ALLOWED
    if not bad:
        return {}
    if len(subjects) == 1:
        return {subjects[0].qualified: bad}
    middle = len(subjects) // 2
    halves = (subjects[:middle], subjects[middle:])
    return {name: found for half in halves for name, found in offenders(folder, half, axioms_of(folder, half)).items()}


def judge(folder: Path) -> Verdict:
    """Compare the axioms of everything built in a folder with the whitelist; name the culprits if there are any."""
    found = statements(folder)
    if not found:
        raise ProofError(f"no theorem found in {folder}")
    axioms = axioms_of(folder, found)
    return Verdict(found, axioms, offenders(folder, found, axioms))


def check(sources: Path = SOURCES) -> Verdict:
    """Build the sources in a temporary folder and judge them."""
    with tempfile.TemporaryDirectory() as name:
        build(sources, Path(name))
        return judge(Path(name))


def self_test(planted: str = PLANTED) -> Verdict:
    """Check a file with a hole in it, by default an admitted lemma: the verdict must not hold."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "Planted.v").write_text(planted, encoding="utf-8")
        return check(Path(name))


def main() -> int:
    """Run the check; 0 when it holds."""
    parser = argparse.ArgumentParser(description="Build the Coq proofs and compare their axioms with a whitelist.")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="folder of the .v files")
    parser.add_argument("--self-test", action="store_true", help="demand that a planted Admitted lemma is found")
    options = parser.parse_args()
    try:
        verdict = self_test() if options.self_test else check(options.sources)
    except ProofError as error:
        print(error, file=sys.stderr)
        return 1
    for name, axioms in verdict.offenders.items():
        print(f"{name} rests on {', '.join(sorted(axioms))}")
    if options.self_test:
        print("the planted lemma was found" if not verdict.holds else "THE PLANTED LEMMA WAS NOT FOUND")
        return int(verdict.holds)
    headlines = [statement.name for statement in verdict.statements if statement.is_headline]
    print("\n".join(headlines))
    print(f"{len(headlines)} headline theorems, {len(verdict.statements)} statements, {len(verdict.axioms)} axioms")
    if verdict.forbidden:
        print(f"not allowed: {', '.join(sorted(verdict.forbidden))}", file=sys.stderr)
    return int(not verdict.holds)


if __name__ == "__main__":
    raise SystemExit(main())
