"""Reports: one self-contained HTML page per report from a template, with one stylesheet, no script, no network.

Pages follow the reader's light or dark mode; the formulas of statements are MathML.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nashlab.errors import BadInput
from nashlab.files import replacing
from nashlab.pictures import LARGEST, cells_of, svg
from nashlab.plots.checks import Outcome, claims
from nashlab.plots.style import save
from nashlab.report.formulas import typeset

if TYPE_CHECKING:
    from jinja2 import Environment

    from nashlab.gallery import Entry
    from nashlab.game import PreferenceGame

__all__ = [
    "CSS",
    "Figures",
    "Row",
    "book_address",
    "book_links",
    "claims_figure",
    "page",
    "png",
    "save_figures",
    "verify_page",
    "write_gallery",
    "write_verify_report",
]

HERE = Path(__file__).parent
CSS = (HERE / "style.css").read_text(encoding="utf-8")


class Row(Protocol):
    """The fields of a result that the report needs; see :class:`nashlab.claims.Result`."""

    @property
    def id(self) -> str:
        """Identifier of the theory."""
        ...

    @property
    def statement(self) -> str:
        """What is claimed, in plain text."""
        ...

    @property
    def status(self) -> str:
        """pass, fail or skipped."""
        ...

    @property
    def worst_error(self) -> float:
        """The largest error of all cases."""
        ...

    @property
    def tolerance(self) -> float:
        """The error that is allowed."""
        ...

    @property
    def cases(self) -> int:
        """How many cases were checked."""
        ...

    @property
    def seconds(self) -> float:
        """How long that took."""
        ...

    @property
    def excess(self) -> float:
        """The worst error over the tolerance."""
        ...

    @property
    def counterexample(self) -> Mapping[str, Any] | None:
        """The worst case, if the claim failed or keeps a witness."""
        ...

    @property
    def measured(self) -> Mapping[str, Any] | None:
        """Data for a figure."""
        ...


Figures = Mapping[str, tuple[str, Any]]


def page(template: str, folder: Path = HERE, **content: Any) -> str:
    """A page from a template in a folder, every value escaped; it may extend our page.html and import our parts.html.

    >>> "&lt;b&gt;" in page("page.html", title="<b>")
    True
    """
    return _environment(folder).get_template(template).render(css=CSS, json=_json, typeset=typeset, **content)


@functools.cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader([folder, HERE]), autoescape=True, undefined=StrictUndefined)


def _json(content: Any, indent: int | None = None) -> str:
    return json.dumps(content, ensure_ascii=False, indent=indent, default=str)


def png(data: bytes) -> str:
    """A picture as the source of an img element."""
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def save_figures(folder: Path, figures: Figures) -> dict[str, str]:
    """Save figures (name -> caption, figure) as PNG files in a folder; name -> caption."""
    for name, (_, figure) in figures.items():
        save(figure, folder / f"{name}.png")
    return {name: caption for name, (caption, _) in figures.items()}


def write_verify_report(
    folder: Path,
    rows: Sequence[Row],
    environment: Mapping[str, Any],
    figures: Mapping[str, str],
    where: str = "on named games, on human judgments and on random games",
    book: str | None = None,
) -> None:
    """Write ``report.html`` into the folder of its figures (name -> caption), which :func:`save_figures` put there.

    book  address or folder of the built book, whose pages the statements link to; None: ``build/book`` if it is there.

    Errors: BadInput for a folder that holds no book.
    """
    links = book_links(rows, book_address(book, folder))
    images = [(png((folder / f"{name}.png").read_bytes()), caption) for name, caption in figures.items()]
    with replacing(folder / "report.html") as part:
        part.write_text(verify_page(rows, environment, images, where, links), encoding="utf-8")


BOOK = Path("build/book")
CHAPTERS = {"E": "equilibria", "L": "losses", "R": "rates", "N": "beyond_the_papers", "S": "social_choice"}


def book_address(book: str | None, folder: Path) -> str | None:
    """The built book as a report in this folder links to it, None if there is none.

    book  an address, kept as it is; a folder, which must hold a book; or None for ``build/book`` if it is there.

    >>> book_address("https://example.org/", Path("report"))
    'https://example.org'
    """
    if book is not None and "://" in book:
        return book.rstrip("/")
    built = (BOOK if book is None else Path(book)).absolute()
    if (built / "theory").is_dir():
        return os.path.relpath(built, folder.absolute()).replace(os.sep, "/")
    if book is not None:
        raise BadInput(f"book = {book!r} holds no book; build one: python -m sphinx notebooks {book}")
    return None


def book_links(rows: Sequence[Row], book: str | None) -> dict[str, str]:
    """Claim -> the place of its statement in the book; a claim without an identifier of the theory has none.

    >>> from types import SimpleNamespace as Claim
    >>> book_links([Claim(id="L2.iv"), Claim(id="closed")], "book")
    {'L2.iv': 'book/theory/losses.html#L2'}
    """
    if book is None:
        return {}
    known = {row.id: found for row in rows if (found := re.match(r"([ELRNS])\d+[a-z]?(?=[._ ]|$)", row.id))}
    return {id: f"{book}/theory/{CHAPTERS[found[1]]}.html#{found[0]}" for id, found in known.items()}


def verify_page(
    rows: Sequence[Row],
    environment: Mapping[str, Any],
    images: Sequence[tuple[str, str]],
    where: str,
    links: Mapping[str, str],
) -> str:
    """The table of claims, or of wrong twins, with figures (source, caption), counterexamples and the environment.

    links  claim -> address of its statement in the book.
    """
    good, skipped = (sum(r.status == status for r in rows) for status in ("pass", "skipped"))
    about: dict[str, Any] = {"environment": environment, "where": where, "canary": bool(environment.get("canary"))}
    about["links"] = links
    title = f"Verified: {good} of {len(rows) - skipped}"
    return page("verify.html", title=title, rows=rows, images=images, good=good, skipped=skipped, **about)


def write_gallery(path: Path, games: Sequence[tuple[Entry, PreferenceGame]]) -> None:
    """Write a page with the picture, the size and the source of each game."""
    cards = [(entry, game.n, svg(cells_of(game))) for entry, game in games]
    with replacing(path) as part:
        part.write_text(page("gallery.html", title="The gallery", games=cards, largest=LARGEST), encoding="utf-8")


def claims_figure(rows: Sequence[Row]) -> dict[str, tuple[str, Any]]:
    """All claims in one figure; machine-checked proofs ("E1 coq") have no error to draw."""
    drawn = [r for r in rows if " " not in r.id]
    outcomes = [Outcome(r.id, r.worst_error, r.tolerance, r.status == "pass") for r in drawn]
    return {"claims": ("Worst error of every claim, relative to its stated tolerance.", claims(outcomes))}
