"""The rules of the house that a machine can check: import direction, style, types, and what importing costs."""

from __future__ import annotations

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
