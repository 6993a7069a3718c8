"""The rules of the house that a machine can check: import direction, style, types, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_point_left_only() -> None:
    result = run(sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()")
    assert result.returncode == 0, result.stdout + result.stderr


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


def reached(path: Path, files: dict[Path, ast.AST]) -> list[str]:
    """Names of other modules of ours, with an underscore before them, that this one uses."""
    tree, own = files[path], defined(files[path])
    others = {name for other, parsed in files.items() if other != path for name in defined(parsed)} - own
    imported = [
        alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names if alias.name[0] == "_"
    ]
    used = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Store)]
    inherited = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "self"}
    return imported + [name for name in used if name in others - inherited]


def test_nobody_reaches_into_another_module_s_private_names() -> None:
    files = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "llm_bridge").rglob("*.py")}
    found = {str(path.relative_to(ROOT)): names for path in files if (names := reached(path, files))}
    assert found == {}
    first, second = Path("a.py"), Path("b.py")
    canary = {first: ast.parse("class A:\n    def _g(self): ..."), second: ast.parse("x._g()\ny._asdict()")}
    assert reached(second, canary) == ["_g"]
