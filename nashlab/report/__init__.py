"""Reports: one self-contained HTML page per report from a template, with one stylesheet, no script, no network.

Pages follow the reader's light or dark mode; the formulas of statements are MathML.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nashlab.files import replacing
from nashlab.plots.checks import Outcome, claims
from nashlab.plots.style import save
from nashlab.report.formulas import typeset

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["CSS", "Figures", "Row", "claims_figure", "page", "png", "verify_page", "write_verify_report"]

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


def write_verify_report(
    folder: Path,
    rows: Sequence[Row],
    environment: Mapping[str, Any],
    figures: Figures,
    where: str = "on named games, on human judgments and on random games",
) -> None:
    """Draw figures (name -> caption, figure) into a folder and write ``report.html`` next to
    them; every file is written atomically."""
    images = []
    for name, (caption, figure) in figures.items():
        path = folder / f"{name}.png"
        save(figure, path)
        images.append((png(path.read_bytes()), caption))
    with replacing(folder / "report.html") as part:
        part.write_text(verify_page(rows, environment, images, where), encoding="utf-8")


def verify_page(
    rows: Sequence[Row], environment: Mapping[str, Any], images: Sequence[tuple[str, str]], where: str
) -> str:
    """The table of claims, or of wrong twins, with figures (source, caption), counterexamples and the environment."""
    good, skipped = (sum(r.status == status for r in rows) for status in ("pass", "skipped"))
    about: dict[str, Any] = {"environment": environment, "where": where, "canary": bool(environment.get("canary"))}
    title = f"Verified: {good} of {len(rows) - skipped}"
    return page("verify.html", title=title, rows=rows, images=images, good=good, skipped=skipped, **about)


def claims_figure(rows: Sequence[Row]) -> dict[str, tuple[str, Any]]:
    """All claims in one figure; machine-checked proofs ("E1 coq") have no error to draw."""
    drawn = [r for r in rows if " " not in r.id]
    outcomes = [Outcome(r.id, r.worst_error, r.tolerance, r.status == "pass") for r in drawn]
    return {"claims": ("Worst error of every claim, relative to its stated tolerance.", claims(outcomes))}
