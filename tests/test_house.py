"""The rules of the house that a machine can check: import direction, style, types, and what importing costs."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    about = os.environ | {"PYTHONPATH": str(cwd)}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=about)


LINT = (sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()")


def test_every_import_contract_is_kept() -> None:
    result = run(*LINT)
    assert result.returncode == 0, result.stdout + result.stderr


def forbidden_import(contract: dict[str, Any]) -> tuple[str, str]:
    """(module, what it must not import): of layers, the lowest and the highest."""
    if contract["type"] == "forbidden":
        return contract["source_modules"][0], contract["forbidden_modules"][-1]
    prefix = "".join(f"{name}." for name in contract.get("containers", []))
    high, low = (contract["layers"][k].split(" | ")[0].strip("()") for k in (0, -1))
    return prefix + low, prefix + high


def test_every_import_contract_is_broken_by_an_import_that_it_forbids(tmp_path: Path) -> None:
    """A copy of the packages with one forbidden import a contract: all are reported."""
    for package in ("nashlab", "llm_bridge"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.csv", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with open(ROOT / "pyproject.toml", "rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    for module, other in map(forbidden_import, contracts):
        place = tmp_path.joinpath(*module.split("."))
        source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        source.write_text(source.read_text(encoding="utf-8") + f"\nimport {other}\n", encoding="utf-8")
    said = run(*LINT, cwd=tmp_path).stdout
    assert [c["name"] for c in contracts if f"{c['name']} BROKEN" not in said] == [], said


@pytest.mark.parametrize(("place", "allowed"), [("nashlab/certify", set()), ("nashlab/verify/oracle.py", {"numpy"})])
def test_what_others_are_judged_by_imports_next_to_nothing(place: str, allowed: set[str]) -> None:
    """The verifier stands on Python alone, the claims' oracle on numpy: neither knows another module of ours."""
    path = ROOT / place
    imported = set()
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module))
    own = place.removesuffix(".py").replace("/", ".")
    others = {name for name in imported if not name.startswith(own)}
    assert {name for name in others if name.split(".")[0] not in sys.stdlib_module_names | allowed} == set()


def test_ruff_finds_nothing() -> None:
    result = run(sys.executable, "-m", "ruff", "check", "nashlab", "llm_bridge", "tests", "proofs")
    assert result.returncode == 0, result.stdout


def test_types_hold() -> None:
    result = run(sys.executable, "-m", "mypy")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("statement", ["import nashlab", "import nashlab.algorithms", "import nashlab.cli"])
def test_importing_loads_neither_jax_nor_torch_nor_matplotlib(statement: str) -> None:
    heavy = "{'jax', 'torch', 'matplotlib', 'numba', 'pyarrow', 'scipy.optimize'} & set(sys.modules)"
    result = run(sys.executable, "-c", f"import sys; {statement}; print(sorted({heavy}))")
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


FORBIDDEN = "{'nashlab.environment', 'nashlab.solve', 'nashlab.rates', 'nashlab.verify', 'nashlab.cli'}"


def test_the_bridge_loads_nothing_of_the_laboratory_s_loop() -> None:
    """What the linter says of import statements, said of what is there after them."""
    rooms = ["cli", "data", "policy", "judges", "training", "preferences", "verify", "experiment"]
    statement = "import sys, " + ", ".join(f"llm_bridge.{room}" for room in rooms)
    result = run(sys.executable, "-c", f"{statement}; print(sorted({FORBIDDEN} & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def defined(tree: ast.AST) -> set[str]:
    """Every name with an underscore before it that a module defines, as a function, a variable or an attribute."""
    names = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    targets = [n for n in ast.walk(tree) if isinstance(getattr(n, "ctx", None), ast.Store)]
    names |= {n.id for n in targets if isinstance(n, ast.Name)}
    names |= {n.attr for n in targets if isinstance(n, ast.Attribute)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def reached(files: dict[Path, ast.AST]) -> dict[Path, list[str]]:
    """Names of other modules of ours, with an underscore before them, that a module uses."""
    owned = {path: defined(tree) for path, tree in files.items()}
    names = set().union(*owned.values())
    found = {path: _reached(tree, names - owned[path]) for path, tree in files.items()}
    return {path: used for path, used in found.items() if used}


def _reached(tree: ast.AST, others: set[str]) -> list[str]:
    imported = [
        alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names if alias.name[0] == "_"
    ]
    used = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Store)]
    inherited = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"}
    return imported + [name for name in used if name in others - inherited]


def test_no_module_is_longer_than_five_hundred_lines() -> None:
    files = [path for package in ("nashlab", "llm_bridge") for path in (ROOT / package).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): path.read_bytes().count(b"\n") for path in files}
    assert {name: n for name, n in lengths.items() if n > 500} == {}


def test_nobody_reaches_into_another_module_s_private_names() -> None:
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "llm_bridge").rglob("*.py")}
    assert reached(files) == {}
    first, second = Path("a.py"), Path("b.py")
    canary = {first: ast.parse("class A:\n    def _g(self): ..."), second: ast.parse("x._g()\ny._asdict()")}
    assert reached(canary) == {second: ["_g"]}
