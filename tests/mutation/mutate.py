"""Mutation testing: how many small faults of a module do its own tests see?

    python tests/mutation/mutate.py --module nashlab.certify.proofs --sample 40 --seed 0

Each mutant is a fork of one process that has already loaded the third-party libraries: it imports nashlab with the
faulty source in the place of the module's (no file is touched) and runs the module's tests, quick and telling ones
first, until one fails: of all tests those that ran the line without the fault.  Survivors are printed with their line
and what was changed.  A mutant that spends far more processor time than its tests do without it counts as killed
("timeout").
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 5  # times the processor time of the tests without a fault, and
GRACE = 20  # seconds more, before a mutant counts as endless
MEMORY = 6 << 30  # bytes of data that a mutant may hold

FAULTS = ("tests/test_faults.py", "tests/test_faults_verifier.py")
SOLVERS = ("tests/test_equilibrium.py", "tests/test_lotteries.py")
CERTIFICATE = ("tests/test_certificate.py", "tests/test_certificate_bounds.py", *FAULTS)
EQUILIBRIUM = (*SOLVERS, "tests/test_certificate.py", *FAULTS)
CERTIFY = ("tests/test_certify_rows.py", "tests/test_certify.py", *FAULTS)
# those of test_algorithms.py that compile nothing, or little
PLAIN = tuple(
    f"tests/test_algorithms.py::test_{name}"
    for name in (
        "the_target_is_a_fixed_point_and_its_neighbour_is_not",
        "relabelling_the_responses_relabels_the_run",
        "the_declared_guarantee_holds_on_random_games",
        "the_papers_table_1_is_read_off_the_specifications",
        "the_limit_of_nash_md_is_known_up_to_a_mixture_that_is_the_reference",
        "nash_md_names_its_limit_and_offers_the_unbiased_form",
        "bad_input_is_named",
    )
)
ALGORITHMS = ("tests/test_written_out.py", *PLAIN)

# the tests of a module or of everything below a package: the longest name that fits
TESTS: dict[str, tuple[str, ...]] = {
    "nashlab.losses": ("tests/test_losses.py", *FAULTS),
    "nashlab.solution": EQUILIBRIUM,
    "nashlab.certificate": CERTIFICATE,
    "nashlab.certificate.balls": (*CERTIFICATE, *SOLVERS),
    "nashlab.certificate.rationals": (*CERTIFICATE, *SOLVERS),
    "nashlab.certify": CERTIFY,
    "nashlab.equilibrium": EQUILIBRIUM,
    "nashlab.equilibrium.alone": ("tests/test_alone.py", *SOLVERS),
    "nashlab.equilibrium.tableau": ("tests/test_interior.py", *SOLVERS),
    "nashlab.equilibrium.interior": ("tests/test_interior.py", *EQUILIBRIUM),
    "nashlab.equilibrium.operator": ("tests/test_operator.py",),
    "nashlab.equilibrium.products": ("tests/test_operator.py", "tests/test_alone.py"),
    "nashlab.equilibrium.possible": ("tests/test_possible.py",),
    "nashlab.equilibrium.uncertainty": ("tests/test_uncertainty.py", "tests/test_ranking.py"),
    "nashlab.equilibrium.sensitivity": (*SOLVERS, "tests/test_uncertainty.py"),
    "nashlab.algorithm": ALGORITHMS,
    "nashlab.algorithms": ALGORITHMS,
    "nashlab.environment": ("tests/test_environment.py", "tests/test_written_out.py"),
    "llm_bridge.policy.sampler": ("tests/bridge/test_sampler.py",),
    "llm_bridge.training.objective": ("tests/bridge/test_objective.py",),
    "llm_bridge.training.forms": ("tests/bridge/test_forms_alone.py",),
    "nashlab.rates": ("tests/test_rates.py",),
    "nashlab.solve": ("tests/test_solve.py", "tests/test_rates.py"),
}
LIBRARIES = ("numpy", "scipy.optimize", "scipy.special", "flint", "hypothesis", "array_api_compat", "threadpoolctl")
HEAVY = {
    "llm_bridge": ("torch", "transformers.models.llama.modeling_llama", "peft", "scipy.stats"),
    "nashlab.losses": ("jax", "torch", "array_api_strict"),
    "nashlab.certificate": ("numba", "jax", "torch"),
    "nashlab.equilibrium": ("numba",),
    "nashlab.solution": ("numba",),
    "nashlab.certify": ("rich", "tyro", "numba", "jax", "matplotlib.pyplot", "mpltern"),
}


def of(table: dict[str, tuple[str, ...]], module: str) -> tuple[str, ...] | None:
    """The row of the longest name that the module is, or lies below."""
    fits = [name for name in table if module == name or module.startswith(name + ".")]
    return table[max(fits, key=len)] if fits else None


class Faulty(importlib.abc.MetaPathFinder):
    """Finds one module, with other code in it."""

    def __init__(self, module: str, path: Path, code: bytes):
        self.module, self.path, self.code = module, path, code

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        """The module with the faulty code, or None for every other name."""
        if name != self.module:
            return None
        code = compile(self.code, str(self.path), "exec")

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return code

        return importlib.util.spec_from_file_location(name, self.path, loader=Loader(name, str(self.path)))


class Referee:
    """A pytest plugin: runs the tests that are worth most first, and remembers times, the first failure and, where
    files are named, which of their lines each test ran."""

    def __init__(self, worth: dict[str, float], faulty: Faulty | None, files: tuple[str, ...] = ()):
        self.worth, self.faulty, self.files = worth, faulty, frozenset(files)
        self.times: dict[str, float] = {}
        self.lines: dict[str, list[tuple[str, int]]] = {}
        self.failed: str | None = None
        self.failures: set[str] = set()

    def pytest_configure(self) -> None:
        """In front of pytest's own importer, which would load the sound file where its doctests are asked for."""
        if self.faulty is not None:
            sys.meta_path.insert(0, self.faulty)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Dearest last; what the run without a fault did not pass is left out."""
        if self.worth:
            items[:] = [item for item in items if item.nodeid in self.worth]
            items.sort(key=lambda item: self.worth[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Watch a test."""
        self._began = time.process_time()
        if self.files:
            seen: set[tuple[str, int]] = set()
            self.lines[nodeid] = []  # filled when it has finished

            def inside(frame: FrameType, event: str, _: Any) -> Any:
                seen.add((frame.f_code.co_filename, frame.f_lineno))
                return inside

            sys.settrace(lambda frame, *_: inside if frame.f_code.co_filename in self.files else None)
            self._seen = seen

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep what it took of the processor, and what was seen."""
        self.times[nodeid] = time.process_time() - self._began
        if self.files:
            sys.settrace(None)
            self.lines[nodeid] = sorted(self._seen)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the outcome."""
        if report.failed:
            self.failed = self.failed or report.nodeid
            self.failures.add(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """A module that cannot even be imported is a failure."""
        if report.failed and self.failed is None:
            self.failed = f"import of {report.nodeid}"


def trial(
    faulty: Faulty | None,
    tests: tuple[str, ...],
    worth: dict[str, float],
    seconds: float,
    log: str,
    files: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run the tests in a fork; {"failed": its id or None, "times" and "lines" per test, "cpu": seconds, "timeout"}."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _limited(seconds)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        import pytest

        referee = Referee(worth, faulty, files)
        stop = ["-x"] if faulty is not None else []
        arguments = ["-q", "-o", "addopts=--doctest-modules", "-p", "no:cacheprovider", "--tb=line", *stop, *tests]
        code = pytest.main(arguments, plugins=[referee])
        failed = referee.failed if referee.failed or code in (0, 1) else f"pytest ended with {code!r}"
        with os.fdopen(writing, "w") as pipe:
            passed = {test: seconds for test, seconds in referee.times.items() if test not in referee.failures}
            json.dump({"failed": failed, "times": passed, "lines": referee.lines}, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    _, status, used = os.wait4(child, 0)
    found = json.loads(said) if said else {"failed": "the process died", "times": {}, "lines": {}}
    spent = used.ru_utime + used.ru_stime
    endless = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM)
    return {**found, "cpu": spent, "timeout": not said and endless}


def _limited(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    signal.alarm(int(20 * seconds))  # a mutant that sleeps


def files_of(module: str) -> Iterator[tuple[str, Path]]:
    """(name, path) of a module, or of every module of a package."""
    path = ROOT / Path(*module.split("."))
    if path.is_dir():
        for file in sorted(path.rglob("*.py")):
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file
    elif path.with_suffix(".py").exists():
        yield module, path.with_suffix(".py")
    else:
        sys.exit(f"module = {module}, no such module below {ROOT}")


def prepare(module: str) -> None:
    """Load once what every mutant needs; nothing of nashlab itself."""
    for name in (*LIBRARIES, *(of(HEAVY, module) or ("jax", "numba")), "pytest"):
        importlib.import_module(name)
    from hypothesis import HealthCheck, Phase, settings

    quick = {"max_examples": 25, "deadline": None, "derandomize": True, "database": None}
    settings.register_profile(
        "mutation", phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), **quick
    )
    os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = True
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    assert not any(name.startswith(("nashlab", "llm_bridge")) for name in sys.modules)


def campaign(module: str, tests: tuple[str, ...], sample: int, seed: int, only: str, longest: float) -> Counter[str]:
    """Try a random sample of the module's mutants; counts of killed, timeouts and survived."""
    files = list(files_of(module))
    everything = [(name, path, m) for name, path in files for m in mutants_of(path.read_bytes())]
    chosen = [row for row in everything if only in f"{place(row[1], row[2])}  {row[2].diff()}"]
    if sample < len(chosen):
        picked = sorted(random.Random(seed).sample(range(len(chosen)), sample))
        chosen = [chosen[k] for k in picked]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = f"{folder}/numba"
        log = f"{folder}/log"
        sound = trial(None, tests, {}, 600, log, tuple(str(path) for _, path in files))
        if sound["failed"] is not None:  # a limit of time, say: whoever watches the lines of a test slows it down
            print(f"left out: {sound['failed']} fails without any fault:\n{Path(log).read_text()[-1000:]}")
        if not sound["times"]:
            sys.exit(1)
        times, kills = sound["times"], Counter[str]()
        kept = {test: seconds for test, seconds in times.items() if seconds <= longest}
        beside = f"{len(times)} tests take {sound['cpu']:.0f} s of processor time, {len(times) - len(kept)} left out"
        print(f"{module}: {len(everything)} mutants, {len(chosen)} tried; {beside}", flush=True)
        count: Counter[str] = Counter()
        for name, path, mutant in chosen:
            needed = telling(path, mutant, {test: seen for test, seen in sound["lines"].items() if test in kept})
            worth = {test: kept[test] / (1 + kills[test]) for test in needed}
            count[_tried(name, path, mutant, tests, worth, kills, log)] += 1
    return count


def place(path: Path, mutant: Mutant) -> str:
    """Where it is, as a file and a line."""
    return f"{path.relative_to(ROOT)}:{mutant.line}"


def telling(path: Path, mutant: Mutant, lines: dict[str, list[tuple[str, int]]]) -> set[str]:
    """The tests that ran the mutant's line; where that is unknown, its function; those that ran any function of the
    file for code that is compiled or kept, which only the first of them runs; all of them for what runs at import."""
    own = {test: {line for name, line in seen if name == str(path)} for test, seen in lines.items()}
    functions = _functions(mutant)
    if functions and _kept(mutant):
        everywhere = [_body(n) for n in ast.walk(ast.parse(mutant.source)) if isinstance(n, ast.FunctionDef)]
        return {test for test, seen in own.items() if any(seen.intersection(body) for body in everywhere)} or set(lines)
    if functions:
        for lines_of in (range(mutant.line, mutant.line + 1), *map(_body, functions)):
            if found := {test for test, seen in own.items() if seen.intersection(lines_of)}:
                return found
    return set(lines)


def _functions(mutant: Mutant) -> list[ast.FunctionDef]:
    """The functions around the mutant, the innermost first."""
    functions = [n for n in ast.walk(ast.parse(mutant.source)) if isinstance(n, ast.FunctionDef)]
    return sorted((n for n in functions if mutant.line in _body(n)), key=lambda n: len(_body(n)))


def _body(function: ast.FunctionDef) -> range:
    return range(function.body[0].lineno, (function.end_lineno or function.lineno) + 1)


def _kept(mutant: Mutant) -> bool:
    """Is it in a function in a function, as compiled code is here, or in one whose results are cached?"""
    around = _functions(mutant)
    return len(around) > 1 or any("cache" in ast.unparse(d) for n in around for d in n.decorator_list)


def _tried(
    name: str,
    path: Path,
    mutant: Mutant,
    tests: tuple[str, ...],
    worth: dict[str, float],
    kills: Counter[str],
    log: str,
) -> str:
    """One mutant's fate, printed."""
    began = time.monotonic()
    if name.endswith(".batch"):  # compiled code is kept by its bytecode, which does not know of constants
        os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(dir=Path(log).parent)
    needed = tuple(sorted({test.split("::")[0] for test in worth})) or tests
    patience = PATIENCE * sum(worth.values()) + GRACE
    result = trial(Faulty(name, path, mutant.code), needed, worth, patience, log)
    fate = "timeout" if result["timeout"] else "survived" if result["failed"] is None else "killed"
    kills[result["failed"]] += 1
    by = result["failed"] if fate == "killed" else f"{len(worth)} tests" if fate == "survived" else ""
    print(f"{fate:8} {place(path, mutant)}  {mutant.diff()}   {by} [{time.monotonic() - began:.0f} s]", flush=True)
    return fate


def main() -> None:
    """Exit code 1 if anything survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--module", required=True, help="a module or package, such as nashlab.certify.proofs")
    parser.add_argument("--sample", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only mutants whose printed line contains this text, a place too")
    parser.add_argument("--tests", nargs="*", help="instead of those in the table")
    parser.add_argument("--longest", type=float, default=1000, help="leave out tests that take more seconds")
    given = parser.parse_args()
    rows = [of(TESTS, name) or () for name, _ in files_of(given.module)]
    tests = tuple(given.tests or dict.fromkeys(test for row in rows for test in row))
    if not tests:
        sys.exit(f"module = {given.module}, must lie below one of {', '.join(TESTS)} (or give --tests)")
    prepare(given.module)
    own = tuple(str(path.relative_to(ROOT)) for _, path in files_of(given.module))
    with contextlib.suppress(KeyboardInterrupt):
        count = campaign(given.module, (*tests, *own), given.sample, given.seed, given.only, given.longest)
        total = sum(count.values())
        share = (total - count["survived"]) / total if total else 0.0
        print(f"{given.module}: {dict(count)}, {share:.0%} killed")
        sys.exit(1 if count["survived"] else 0)
    sys.exit(130)


if __name__ == "__main__":
    main()
