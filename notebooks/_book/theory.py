"""The theory's pages: ``{statements} E`` shows every identifier that begins with E, typeset, beside its evidence.

The sources of the evidence are pages too, with a line for each link, so that the book needs no other site.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from _book import evidence
from _book.evidence import Claim, Place
from nashlab.report import CSS
from nashlab.report.formulas import typeset

LONG = 6  # places of one kind; more are folded away

SOURCE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}</title><style>{css}
pre {{ white-space: pre; overflow-x: auto; }} pre i {{ color: var(--muted); user-select: none; }}
:target {{ background: color-mix(in srgb, var(--good) 25%, transparent); }}</style></head>
<body><h1>{name}</h1><pre>{rows}</pre></body></html>
"""


class Statements(SphinxDirective):
    """``{statements} LETTERS``: a section for each identifier that begins with one of the letters."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """One section an identifier, in the theory's order."""
        for path in evidence.files():
            self.env.note_dependency(str(path))
        return [self._section(row) for row in evidence.rows() if row[0] in self.arguments[0]]

    def _section(self, row: str) -> nodes.section:
        section = nodes.section(ids=[row], names=[row.lower()])
        section += nodes.title(row, row)
        own = [c for c in evidence.claims() if evidence.row_of(c.id) == row]
        told = [c for c in own if c.program == "nashlab verify"] or own
        section += _raw("".join(f"<p>{_part(c, row)}{typeset(c.statement)}</p>" for c in told) or _derived(row))
        section += _raw(f'<dl class="evidence">{"".join(self._evidence(row, own))}</dl>')
        return section

    def _evidence(self, row: str, claims: list[Claim]) -> Iterator[str]:
        for program in dict.fromkeys(c.program for c in claims):
            found = [c for c in claims if c.program == program]
            yield from self._entry(f"<code>{program}</code>", [f"{self._link(c.place)}{_twin(c)}" for c in found])
        kinds = {"Coq": evidence.lemmas(), "SymPy": evidence.derivations(), "Tests": evidence.tests()}
        for name, places in kinds.items():
            yield from self._entry(name, [self._link(place) for place in places.get(row, ())])

    def _entry(self, name: str, items: list[str]) -> Iterator[str]:
        if not items:
            return
        yield f"<dt>{name}</dt>"
        shown, folded = items[:LONG], items[LONG:]
        yield from (f"<dd>{item}</dd>" for item in shown)
        if folded:
            inside = "".join(f"<dd>{item}</dd>" for item in folded)
            yield f"<dd><details><summary>{len(folded)} more</summary><dl>{inside}</dl></details></dd>"

    def _link(self, place: Place) -> str:
        here = posixpath.dirname(self.env.docname)
        address = posixpath.relpath(f"{place.page}.html", here)
        return f'<a href="{address}#line-{place.line}"><code>{escape(place.name)}</code></a>'


def _part(claim: Claim, row: str) -> str:
    part = claim.id.removeprefix(row).lstrip(".")
    return f"<em>{escape(part)}.</em> " if part else ""


def _twin(claim: Claim) -> str:
    parts = [] if claim.tolerance is None else [f"tolerance {claim.tolerance:g}"]
    parts += [] if claim.twin is None else [f"its wrong twin: {typeset(claim.twin)}"]
    return f" ({'; '.join(parts)})" if parts else ""


def _derived(row: str) -> str:
    items = evidence.proofs.by_row(evidence.proofs.evidence())[row]
    return f"<p>{typeset(evidence.proofs.statement(row, items))}</p>"


def _raw(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")


def write_sources(app: Sphinx, error: Exception | None) -> None:
    """Each file that the book links to as a page of numbered lines."""
    if error is not None or app.builder.name != "html":
        return
    for path in evidence.files():
        place = Place("", path, 1)
        page = Path(app.outdir) / f"{place.page}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = "\n".join(f'<span id="line-{k}"><i>{k:4}</i>  {escape(line)}</span>' for k, line in enumerate(lines, 1))
        name = path.relative_to(evidence.ROOT).as_posix()
        page.write_text(SOURCE.format(name=escape(name), css=CSS, rows=rows), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the sources' pages."""
    app.add_directive("statements", Statements)
    app.connect("build-finished", write_sources)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
