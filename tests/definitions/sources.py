"""The Coq sources, and the scripts beside them."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

PROOFS = Path(__file__).resolve().parents[2] / "proofs"


@cache
def script(name: str) -> ModuleType:
    """A script of proofs/, which is no package."""
    sys.path.append(str(PROOFS))
    try:
        spec = importlib.util.spec_from_file_location(f"nashlab_definitions_{name}", PROOFS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(PROOFS))


DEFINITION = re.compile(
    r"^\s*((?:Local\s+|Global\s+)?(?:Definition|(?:Co)?Fixpoint|Function|Record|Inductive)\s+([\w']+).*?\.)(?=\s)",
    re.DOTALL | re.MULTILINE,
)


def definitions() -> dict[str, str]:
    """Every definition of the sources by name, its text on one line."""
    axioms = script("check_axioms")
    return {
        f"{path.stem}.{name}": " ".join(text.split())
        for path in sorted((PROOFS / "coq").glob("*.v"))
        for text, name in DEFINITION.findall(axioms.without_comments(path.read_text(encoding="utf-8")))
    }
