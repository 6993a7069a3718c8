"""Figures show what they say; the report is one well-formed page that needs nothing else."""

from __future__ import annotations

import functools
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from nashlab import claims, plots, report
from nashlab.claims import Result
from nashlab.equilibrium import maximal_lottery, regularised_nash
from nashlab.gallery import get
from nashlab.game import BadInput
from nashlab.rates import rated_run
from nashlab.report.formulas import latex, typeset
from nashlab.verify import CHECKS, figures


def test_the_convergence_figure_draws_the_history_and_the_predicted_slope(tmp_path: Path) -> None:
    run = rated_run("nash-md", get("rps-weighted"), 0.2, step_size=0.5, steps=400)
    figure = plots.convergence([run])
    distance_axes = figure.axes[1]
    solid, dashed, dotted = distance_axes.get_lines()
    history = run.solution.history
    assert np.array_equal(solid.get_xdata(), history["steps"])
    for line, name in ((solid, "distance"), (dashed, "target_distance")):
        drawn, known = np.asarray(line.get_ydata(), dtype=float), np.asarray(history[name])
        assert np.array_equal(drawn, np.where(known > plots.runs.FLOOR, known, np.nan), equal_nan=True)
        assert np.isfinite(drawn).sum() > 50
    x, y = (np.asarray(v, dtype=float) for v in dotted.get_data())
    assert np.exp((np.log(y[-1]) - np.log(y[0])) / (x[-1] - x[0])) == pytest.approx(run.predicted, abs=1e-9)
    plots.save(figure, tmp_path / "a.png")
    plots.save(figure, tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg"]


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, message in ((tmp_path / "a.bmp", "must end in"), (tmp_path / "none" / "a.png", "does not exist")):
        with pytest.raises(BadInput, match=message):
            plots.check_figure_path(path)
    figure = plots.lottery(maximal_lottery(get("dice")))

    def broken(path: Path, **kwargs: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_figure_6_marks_the_equilibrium_and_the_other_limits() -> None:
    """★ is π*_τ in each panel; ○ are L4's optima of offline IPO on three data policies, and L6's of β > 0."""
    game, tau = get("figure-6"), 0.1
    figure = plots.figure_6(game, temperature=tau, steps=400)
    nash = regularised_nash(game, tau)

    def reply(opponent: ArrayLike) -> NDArray[np.float64]:
        weight = game.reference * np.exp(game.margins @ np.asarray(opponent) / tau)
        return np.asarray(weight / weight.sum())

    offline = [reply(data) for data in (game.reference, [0.6, 0.3, 0.1], [0.1, 0.3, 0.6])]
    mixed = [reply(regularised_nash(game, tau / (1 - beta)).policy) for beta in (0.125, 0.5, 0.9, 0.5)]
    assert len(figure.axes) == 3
    for axes, known in zip(figure.axes, ([], offline, mixed), strict=True):
        assert places(axes, "*") == [pytest.approx(corners(nash.policy), abs=1e-12)]
        assert places(axes, "o") == [pytest.approx(corners(policy), abs=1e-9) for policy in known]


def places(axes: Any, marker: str) -> list[list[float]]:
    """Where points with this marker stand."""
    return [np.ravel(line.get_data()).tolist() for line in axes.get_lines() if line.get_marker() == marker]


def corners(policy: NDArray[np.float64]) -> list[float]:
    """x and y in a triangle of height 1 with the first response on top and the second on the left."""
    return [(policy[2] - policy[1]) / np.sqrt(3), policy[0]]


def test_the_lottery_figure_has_one_bar_a_response() -> None:
    figure = plots.lottery(maximal_lottery(get("soundquality")))
    widths = sorted((bar.get_width() for bar in figure.axes[0].patches), reverse=True)
    assert widths[:3] == pytest.approx([21 / 37, 15 / 37, 1 / 37])
    assert widths[3:] == [0] * 5


class Page(HTMLParser):
    """Counts tags, collects text and references."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_self_contained_page(tmp_path: Path) -> None:
    rows = [
        Result("L1", "a < b & <script>alert(1)</script>", "pass", 1e-15, 1e-9, 3, 0.1, None),
        Result("N9", "fails", "fail", 2.0, 0.0, 1, 0.1, {"game": "<b>", "margins": [[0.0]]}),
    ]
    about = {"samples": 3, "seed": 0, "canary": False}
    report.write_verify_report(tmp_path, rows, about, report.save_figures(tmp_path, figures.figures_of(rows)))
    page = Page()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text
    assert "1 of 2 claims hold" in page.text
    assert all(reference.startswith("data:image/png;base64,") for reference in page.references)
    assert len(page.references) == 1
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_every_statement_is_typeset_as_mathml_and_keeps_its_words() -> None:
    """Of the text between the tags, what is no symbol is there as it was; every Greek letter is inside a formula."""
    for check in CHECKS.values():
        for sentence in (check.statement, check.twin):
            shown = str(typeset(sentence))
            page = Page()
            page.feed(shown)
            assert page.open == [], sentence
            kept = "".join(c for c in page.text if c.isascii() and c.isalpha())
            assert kept == "".join(c for c in unicodedata.normalize("NFKC", sentence) if c.isascii() and c.isalpha())
            assert not re.search("[α-ω≤≥]", re.sub("<math.*?</math>", "", shown)), sentence


def test_indices_accents_and_braces_become_elements() -> None:
    assert latex("π*_τ") == "\\pi ^{*}_{\\tau }"
    assert latex("x₁₂² ≤ {a}") == "x_{12}^{2} \\le  \\{a\\}"
    assert latex("q_iq_j/m_ij") == "q_{i}q_{j}/m_{ij}"
    assert latex("r_y - r_y'") == "r_{y} - r_{y'}"
    assert latex("π̂") == "\\hat{\\pi }"
    assert "<msup>" in typeset("e^{−τh}")


@pytest.mark.parametrize(
    ("asked", "drawn"), [(["E2"], []), (["E4"], ["soundquality"]), (["E5", "N7"], ["optimisers", "temperature"])]
)
def test_what_is_drawn_is_what_was_asked_for(asked: list[str], drawn: list[str]) -> None:
    assert sorted(figures.illustrations(asked)) == drawn


@pytest.mark.parametrize("workers", [1, 2])
def test_other_work_is_done_beside_the_claims(workers: int, tmp_path: Path) -> None:
    """It is done by the end in one process and in two, and an error in it is not lost."""
    checks = [CHECKS["E2"], CHECKS["E4"]]
    made = [tmp_path / "a", tmp_path / "b"]
    beside = [functools.partial(Path.touch, path) for path in made]
    assert {r.id for r in claims.run(checks, samples=10, workers=workers, beside=beside)} == {"E2", "E4"}
    assert all(path.exists() for path in made)
    with pytest.raises(FileNotFoundError):
        list(claims.run(checks, samples=10, workers=workers, beside=[functools.partial(Path.unlink, tmp_path / "c")]))


def test_every_figure_illustrates_claims_that_there_are() -> None:
    assert all(set(drawing.claims) <= set(CHECKS) for drawing in figures.DRAWINGS.values())
