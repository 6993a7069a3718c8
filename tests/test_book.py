"""The book: every public name has its words, every page its links, and the whole is built without a warning."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "notebooks"
sys.path.append(str(BOOK))

from _book.docstrings import documented  # noqa: E402

# -- the reference -----------------------------------------------------------------------------------------------------


def modules_of_the_reference() -> list[str]:
    pages = sorted((BOOK / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))]


def doors() -> Iterator[str]:
    """Every module directly in nashlab, and every package of both: what they export is public."""
    for path in sorted((ROOT / "nashlab").glob("*.py")):
        yield "nashlab" if path.stem == "__init__" else f"nashlab.{path.stem}"
    for package in ("nashlab", "llm_bridge"):
        for path in sorted((ROOT / package).glob("*/__init__.py")):
            yield f"{package}.{path.parent.name}"
    yield from ("llm_bridge", "llm_bridge.cli")


NOT_PUBLIC = {"nashlab.__main__", "nashlab.compiling", "nashlab.data", "llm_bridge.moved", "llm_bridge.examples"}


def test_every_door_is_on_one_page_of_the_reference() -> None:
    found = modules_of_the_reference()
    assert len(found) == len(set(found))
    assert set(doors()) - NOT_PUBLIC - set(found) == set()


def public(name: str) -> Iterator[tuple[str, Any]]:
    """(qualified name, object) of what a module exports, with the public methods that its classes define."""
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        found = getattr(module, exported)
        yield f"{name}.{exported}", found
        if inspect.isclass(found):
            for method, value in vars(found).items():
                plain = getattr(value, "__func__", value)
                defined = inspect.isfunction(plain) or isinstance(value, property)
                if defined and not method.startswith("_") and method not in inspect.get_annotations(found):
                    yield f"{name}.{exported}.{method}", plain


def faults(name: str, found: Any) -> list[str]:
    """What is wrong with the docstring of one public object."""
    if not (inspect.isclass(found) or inspect.isfunction(found) or isinstance(found, property)):
        return []
    text = inspect.cleandoc((found.__doc__ if inspect.isclass(found) else inspect.getdoc(found)) or "")
    if not text or (inspect.isclass(found) and text.startswith(f"{found.__name__}(")):  # what a dataclass writes itself
        return [f"{name} has no docstring"]
    return [f"{name} documents {word!r}, which it does not have" for word in documented(text) if not has(found, word)]


def has(found: Any, word: str) -> bool:
    """Whether a documented name is a parameter, a field or attribute, or a key that the code writes out."""
    if isinstance(found, property):
        found = found.fget
    if inspect.isclass(found):
        bases = [base for base in found.__mro__ if base.__module__.startswith(("nashlab", "llm_bridge"))]
        return hasattr(found, word) or any(word in names_of_a_class(base) for base in bases)
    return word in inspect.signature(found).parameters or any(
        isinstance(node, ast.Constant) and node.value == word for node in ast.walk(tree(found))
    )


@cache
def names_of_a_class(found: type) -> set[str]:
    """Fields, parameters of the constructor, and attributes that methods set."""
    nodes = list(ast.walk(tree(found)))
    stored = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    fields = {n.target.id for n in nodes if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    return stored | fields | {n.arg for n in nodes if isinstance(n, ast.arg)}


@cache
def tree(found: Any) -> ast.AST:
    return ast.parse(inspect.cleandoc("\n" + inspect.getsource(found)))


def test_every_public_name_is_documented_and_documents_what_it_has() -> None:
    named = [pair for module in modules_of_the_reference() for pair in public(module)]
    assert len(named) > 700
    assert [fault for name, found in named for fault in faults(name, found)] == []


def test_the_examples_of_the_books_own_code_run() -> None:
    for name in ("docstrings", "mathml"):
        if name == "docstrings" or importlib.util.find_spec("sphinx"):
            result = doctest.testmod(importlib.import_module(f"_book.{name}"))
            assert result.attempted > 0
            assert result.failed == 0


def test_a_name_without_words_and_words_without_a_name_are_caught() -> None:
    """The canaries."""

    def silent(x: int) -> None: ...

    def slipped(first: int, second: int) -> None:
        """Two numbers.

        first, secnod  the numbers.
        """

    def renamed(number: int) -> None:
        """A number.

        Args:
            numbr: the number.
        """

    assert faults("f", silent) == ["f has no docstring"]
    assert faults("f", slipped) == ["f documents 'secnod', which it does not have"]
    assert faults("f", renamed) == ["f documents 'numbr', which it does not have"]


# -- pages -------------------------------------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / ".github" / "CONTRIBUTING.md", *sorted(BOOK.rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


@pytest.mark.parametrize("path", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    targets = [target for target, _ in LINK.findall(path.read_text(encoding="utf-8")) if target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    assert len(re.findall(r"!\[", text)) == 3
    assert all(f"**I have {door}.**" in text for door in ("votes", "a game", "a loss", "a model"))


QUICKER = ("-D", "toc_object_entries=0")  # no list of a page's names beside it: a fifth of the time


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a book with warnings as errors, and a socket that refuses to leave the machine."""
    offline = "import socket, sys; socket.socket.connect = None; from sphinx.cmd.build import main; sys.exit(main())"
    about = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", offline, "-q", "-W", "--keep-going", *QUICKER, str(source), str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=about)


def test_the_book_is_built_offline_without_a_warning(tmp_path: Path) -> None:
    for name in ("sphinx", "myst_nb", "furo"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (pip install '.[docs]')")
    result = build(BOOK, tmp_path)
    assert result.returncode == 0, result.stderr[-5000:]
    check_pages(tmp_path)


def check_pages(out: Path) -> None:
    """What a reader needs is on the pages: theory with mathematics, its sources, the reference, the index of search."""
    losses = (out / "theory" / "losses.html").read_text(encoding="utf-8")
    assert all(f'id="L{k}"' in losses for k in range(1, 19))
    assert losses.count("<math") > 100
    for address in set(re.findall(r'href="\.\./(evidence/[^"]*)"', losses)):
        file, _, line = address.partition("#")
        assert f'id="{line}"' in (out / file).read_text(encoding="utf-8"), address
    assert "nashlab.equilibrium.nash" in (out / "reference" / "equilibria.html").read_text(encoding="utf-8")
    assert "Docstring" not in losses
    index = (out / "searchindex.js").read_text(encoding="utf-8")
    assert all(word in index for word in ("exploit", "lotteri", "add_a_claim", "maximal_lottery"))
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?://', text), f"{page} needs a network"
