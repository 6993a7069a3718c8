"""A ranking in written form: JSON, CSV, LaTeX, Markdown, and one HTML page without scripts or network access."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from nashlab.files import plain, replacing
from nashlab.game import BadInput
from nashlab.ranking import ELO, MIDDLE, THIN, Plan, Ranking
from nashlab.report import CSS
from nashlab.votes import components
from nashlab.votes.sure import NORMAL

__all__ = ["content", "header", "lines", "remarks", "write"]

DRAWN = 12  # responses in the picture of cycles
NAMED = 8  # responses of a list
HEAT = 40  # responses in the head-to-head table

MORE = """
.heat { width: auto; font-size: .72rem; }
.wide { overflow-x: auto; }
.heat td { text-align: center; padding: .15rem .3rem; border: 0; }
.heat th { font-weight: 400; padding: .1rem .3rem; border: 0; white-space: nowrap; }
.heat th.up { writing-mode: vertical-rl; }
.bar { background: #7aa6d8; height: .6rem; display: inline-block; } svg text { font: 12px system-ui, sans-serif; }
"""


# -- values ----------------------------------------------------------------------------------------------------------


def content(ranking: Ranking, planned: Plan | None = None) -> dict[str, Any]:
    """A ranking in the form of JSON; responses are ordered from best to worst."""
    game = ranking.votes.game
    labels = game.labels
    winner, loser = ranking.condorcet
    member = ranking.membership
    met = ranking.votes.wins + ranking.votes.wins.T if ranking.votes.wins is not None else np.zeros((game.n, game.n))
    whole = {
        "reading": ranking.votes.reading.content(),
        "tau": ranking.temperature,
        "responses": [_response(ranking, int(i), met) for i in ranking.order],
        "condorcet_winner": None if winner is None else labels[winner],
        "condorcet_loser": None if loser is None else labels[loser],
        "smith_set": [labels[i] for i in ranking.smith],
        "cyclic_triads": ranking.cyclic_triads,
        "bradley_terry_misfit": ranking.misfit,
        "necessary": None if member is None else [labels[i] for i in member.necessary],
        "possible": None if member is None else [labels[i] for i in member.possible],
        "never": None if member is None else [labels[i] for i in member.never],
        "undecided": None if member is None else [labels[i] for i in member.undecided],
        "reasons": None if member is None else {labels[i]: why for i, why in member.reasons.items()},
        "confidence": ranking.confidence,
        "components": _components(ranking),
        "thin_pairs": int(np.count_nonzero(np.triu((met > 0) & (met < THIN)))),
        "clones": ranking.clones,
        "bootstrap": {"resamples": ranking.bootstrap, "of": ranking.unit},
        "remarks": remarks(ranking),
    }
    if planned is not None:
        whole["plan"] = _plan(planned, labels)
    return dict(plain(whole))


def _response(ranking: Ranking, i: int, met: Any) -> dict[str, Any]:
    strength = float(ranking.strengths.values[i])
    error = float(np.sqrt(max(0.0, ranking.strengths.covariance[i, i])))
    low, high = strength - NORMAL * error, strength + NORMAL * error
    exact = ranking.lottery_exact
    return {
        "label": ranking.votes.game.labels[i],
        "votes": float(met[i].sum()),
        "lottery": float(ranking.lottery[i]),
        "lottery_exact": None if exact is None else exact[i],
        "interval": None if ranking.interval is None else ranking.interval[i],
        "support_frequency": None if ranking.support_frequency is None else float(ranking.support_frequency[i]),
        "range": None if ranking.ranges is None else ranking.ranges[i],
        "equilibrium": float(ranking.equilibrium[i]),
        "equilibrium_interval": ranking.equilibrium_interval[i],
        "bradley_terry": strength,
        "bradley_terry_interval": [low, high],
        "elo": MIDDLE + ELO * strength,
        "elo_interval": [MIDDLE + ELO * low, MIDDLE + ELO * high],
        "borda": float(ranking.borda[i]),
        "copeland": float(ranking.copeland[i]),
        "minimax": float(ranking.minimax[i]),
    }


def _components(ranking: Ranking) -> list[list[str]]:
    wins = ranking.votes.wins
    assert wins is not None
    number = components(wins)
    labels = ranking.votes.game.labels
    return [[labels[i] for i in np.flatnonzero(number == k)] for k in range(int(number.max()) + 1)]


def _plan(planned: Plan, labels: Sequence[str]) -> dict[str, Any]:
    first, second = np.nonzero(np.triu(planned.judgments))
    order = np.argsort(-planned.judgments[first, second], kind="stable")
    pairs = [[labels[first[k]], labels[second[k]], int(planned.judgments[first[k], second[k]])] for k in order]
    now, after, evenly = planned.error
    needed = {f"{e:g}": m for e, m in planned.needed.items()}
    return {"pairs": pairs, "error_now": now, "error_planned": after, "error_evenly": evenly, "needed": needed}


def remarks(ranking: Ranking) -> list[str]:
    """What a reader of the table must know, one sentence each."""
    found = []
    labels = ranking.votes.game.labels
    wins, reading = ranking.votes.wins, ranking.votes.reading
    assert wins is not None
    met = wins + wins.T
    parts = _components(ranking)
    if len(parts) > 1:
        found.append(f"{len(parts)} groups of responses were never compared with each other: {_short(parts)}.")
    if reading.met is not None and reading.met < reading.pairs:
        found.append(
            f"{reading.pairs - reading.met} of {reading.pairs} pairs never met: the ranking depends on their fill."
        )
    thin = int(np.count_nonzero(np.triu((met > 0) & (met < THIN))))
    if thin:
        found.append(f"{thin} pairs have fewer than {THIN} votes.")
    winner, loser = ranking.condorcet
    found.append(f"{labels[winner]} beats every other." if winner is not None else "No response beats every other.")
    if loser is not None:
        found.append(f"{labels[loser]} loses to every other.")
    if ranking.interval is not None:
        low, high = ranking.interval.T
        outside = int(np.count_nonzero((ranking.lottery < low - 1e-9) | (ranking.lottery > high + 1e-9)))
        if outside:
            found.append(
                f"{outside} lottery probabilities lie outside their own resampled intervals: "
                "so even a contest does not determine its lottery."
            )
    member = ranking.membership
    if member is not None:
        over = "every result of the pairs that never met" if reading.met != reading.pairs else "the counts as they are"
        if ranking.confidence is not None:
            over = f"every table inside the {100 * ranking.confidence:g} % confidence region"
        sure = ", ".join(labels[i] for i in member.necessary) or "none"
        found.append(
            f"Over {over}: in the lottery for certain: {sure}; possibly: {len(member.possible)} responses, "
            f"never: {len(member.never)} (each proved in rationals)."
        )
        lost = [int(y) for y in ranking.order if y in member.possible and ranking.lottery[y] <= 1e-12]
        if lost:
            named = ", ".join(labels[y] for y in lost[:NAMED]) + (", ..." if len(lost) > NAMED else "")
            found.append(f"0 in the lottery above, but not in every one of these tables: {len(lost)}: {named}.")
        for why in sorted(set(member.reasons.values())):
            named = ", ".join(labels[y] for y, given in member.reasons.items() if given == why)
            found.append(f"Undecided: {named}: {why}.")
    if ranking.strengths.regularised:
        found.append("Bradley-Terry has no finite fit: half a win and half a loss were added to each response.")
    return found


def _short(parts: Sequence[Sequence[str]]) -> str:
    named = ["{" + ", ".join(part[:3]) + (", ..." if len(part) > 3 else "") + "}" for part in parts[:5]]
    return ", ".join(named) + (", ..." if len(parts) > 5 else "")


# -- tables ----------------------------------------------------------------------------------------------------------


def header() -> tuple[str, ...]:
    """The columns of the leaderboard."""
    return (
        "",
        "response",
        "votes",
        "lottery",
        "95 %",
        "in support",
        "equilibrium",
        "95 %",
        "Elo",
        "95 %",
        "Borda",
        "Copeland",
    )


def lines(ranking: Ranking) -> list[tuple[str, ...]]:
    """The rows of the leaderboard as people read them."""
    rows: list[tuple[str, ...]] = []
    for place, r in enumerate(content(ranking)["responses"], 1):
        elo = r["elo_interval"]
        rows.append(
            (
                str(place),
                r["label"],
                f"{r['votes']:g}",
                f"{r['lottery']:.4f}",
                _span(r["interval"]),
                "" if r["support_frequency"] is None else f"{100 * r['support_frequency']:.0f} %",
                f"{r['equilibrium']:.4f}",
                _span(r["equilibrium_interval"]),
                f"{r['elo']:.0f}",
                f"{elo[0]:.0f}-{elo[1]:.0f}",
                f"{r['borda']:.3f}",
                f"{r['copeland']:g}",
            )
        )
    return rows


def _span(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"


def _csv(ranking: Ranking) -> str:
    rows = content(ranking)["responses"]
    stream = io.StringIO()
    names = [key for key in rows[0] if not isinstance(rows[0][key], list)]
    spans = [key for key in rows[0] if any(isinstance(row[key], list) for row in rows)]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, *(f"{key}_{end}" for key in spans for end in ("low", "high"))])
    for row in rows:
        writer.writerow([*(row[key] for key in names), *(x for key in spans for x in row[key] or ("", ""))])
    return stream.getvalue()


def _markdown(ranking: Ranking) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    head = header()
    rule = "|" + "|".join(" --- " if i < 2 else " ---: " for i in range(len(head))) + "|"
    notes = "\n".join(f"- {x}" for x in remarks(ranking))
    return "\n".join([line(head), rule, *map(line, lines(ranking))]) + f"\n\n{notes}\n"


LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def _latex(ranking: Ranking) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(LATEX.get(c, c) for c in cell) for cell in cells) + r" \\"

    body = "\n".join(map(line, lines(ranking)))
    columns = "rl" + "r" * (len(header()) - 2)
    return f"\\begin{{tabular}}{{{columns}}}\n\\hline\n{line(header())}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}\n"


# -- HTML ------------------------------------------------------------------------------------------------------------


def _html(ranking: Ranking, planned: Plan | None) -> str:
    game, reading = ranking.votes.game, ranking.votes.reading
    head = "".join(f'<th class="{"number" if i > 1 else ""}">{escape(x)}</th>' for i, x in enumerate(header()))
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{"number" if i > 1 else ""}">{escape(x)}</td>' for i, x in enumerate(row))
        + "</tr>"
        for row in lines(ranking)
    )
    notes = "".join(f"<li>{escape(x)}</li>" for x in remarks(ranking))
    fit = ranking.misfit
    fitted = (
        f"Deviance {fit['deviance']:.1f} on {fit['degrees_of_freedom']} degrees of freedom; farthest off: "
        f"{fit['farthest_pair'][0]} over {fit['farthest_pair'][1]}, {fit['observed']:.3f} seen, "
        f"{fit['fitted']:.3f} fitted."
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(game.name)}: leaderboard</title><style>{CSS}{MORE}</style></head><body>
<h1>{escape(game.name)}: leaderboard</h1>
<p class="lead">{escape(str(reading))}</p>
<ul>{notes}</ul>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
<p class="small">Lottery: the maximal lottery (τ = 0), {ranking.bootstrap} resamples of {ranking.unit}. Equilibrium: τ =
{ranking.temperature:g}, delta method. Elo: Bradley-Terry in Elo units, independent of the order of votes.</p>
<h2>Cycles</h2>
<p class="small">{100 * ranking.cyclic_triads:.1f} % of all triples are cycles. Arrows: majorities among the responses
of the lottery (at most {DRAWN}), thicker for larger margins.</p>
{_cycles(ranking)}
<h2>Head to head</h2>
{_heat(ranking)}
<h2>Bradley-Terry</h2><p>{escape(fitted)}</p>
{_planned_html(planned, game.labels)}
</body></html>
"""


def _planned_html(planned: Plan | None, labels: Sequence[str]) -> str:
    if planned is None:
        return ""
    told = _plan(planned, labels)
    rows = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td><td>{m}</td></tr>" for a, b, m in told["pairs"][:100])
    return (
        f"<h2>What next</h2><p>Error bound {told['error_now']:.3f} now, {told['error_planned']:.3f} after these, "
        f"{told['error_evenly']:.3f} if spread evenly.</p><table>{rows}</table>"
    )


def _cycles(ranking: Ranking) -> str:
    """The majorities among the lottery's responses, as arrows on a circle."""
    game = ranking.votes.game
    held = [int(i) for i in ranking.order if ranking.lottery[i] > 1e-9][:DRAWN]
    if len(held) < 2:
        return '<p class="small">One response has all the mass: there is no cycle to draw.</p>'
    angle = 2 * np.pi * np.arange(len(held)) / len(held) - np.pi / 2
    x, y = 300 + 170 * np.cos(angle), 220 + 170 * np.sin(angle)
    largest = float(np.max(np.abs(game.margins[np.ix_(held, held)]))) or 1.0
    parts = []
    for a, i in enumerate(held):
        for b, j in enumerate(held):
            if game.margins[i, j] > 0:
                width = 0.8 + 3 * float(game.margins[i, j]) / largest
                length = float(np.hypot(x[b] - x[a], y[b] - y[a]))
                cut = 14 / length
                ends = [
                    x[a] + cut * (x[b] - x[a]),
                    y[a] + cut * (y[b] - y[a]),
                    x[b] - cut * (x[b] - x[a]),
                    y[b] - cut * (y[b] - y[a]),
                ]
                x1, y1, x2, y2 = (f"{float(v):.1f}" for v in ends)
                said = f"{escape(game.labels[i])} beats {escape(game.labels[j])}"
                parts.append(
                    f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#888" stroke-width="{width:.1f}" '
                    f'marker-end="url(#tip)"><title>{said}</title></line>'
                )
    for a, i in enumerate(held):
        anchor = "middle" if abs(x[a] - 300) < 40 else ("start" if x[a] > 300 else "end")
        away = 18 * np.sign(x[a] - 300) if anchor != "middle" else 0
        down = (-14 if y[a] < 220 else 24) if anchor == "middle" else 4
        size = 4 + 10 * np.sqrt(float(ranking.lottery[i]))
        parts.append(
            f'<circle cx="{x[a]:.1f}" cy="{y[a]:.1f}" r="{size:.1f}" fill="#3b76b8"/>'
            f'<text x="{x[a] + away:.1f}" y="{y[a] + down:.1f}" text-anchor="{anchor}" fill="currentColor">'
            f"{escape(game.labels[i])}</text>"
        )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>'
    )
    return f'<svg viewBox="0 0 600 440" width="600" role="img" aria-label="cycles">{tip}{"".join(parts)}</svg>'


def _heat(ranking: Ranking) -> str:
    wins = ranking.votes.wins
    assert wins is not None
    order = [int(i) for i in ranking.order[:HEAT]]
    names = [escape(ranking.votes.game.labels[i]) for i in order]
    rows = ["<tr><th></th>" + "".join(f'<th class="up">{name}</th>' for name in names) + "</tr>"]
    for name, i in zip(names, order, strict=True):
        cells = []
        for j in order:
            met = wins[i, j] + wins[j, i]
            if i == j or met == 0:
                cells.append("<td></td>")
                continue
            p = wins[i, j] / met
            far = round(200 * abs(p - 0.5))
            hue = "59,118,184" if p >= 0.5 else "200,90,40"
            colour, told = f"rgba({hue},{far / 130:.2f})", f"{wins[i, j]:g} of {met:g}"
            cells.append(f'<td style="background:{colour}" title="{told}">{100 * p:.0f}</td>')
        rows.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
    more = "" if len(ranking.order) <= HEAT else f'<p class="small">The first {HEAT} responses.</p>'
    table = f'<div class="wide"><table class="heat">{"".join(rows)}</table></div>'
    return f'{table}{more}<p class="small">Win rate of row over column in per cent.</p>'


# -- files -----------------------------------------------------------------------------------------------------------


def write(path: Path, form: str, ranking: Ranking, planned: Plan | None = None) -> None:
    """Write one form ("html", "csv", "latex", "markdown", "json") atomically."""
    import json

    texts = {
        "html": lambda: _html(ranking, planned),
        "csv": lambda: _csv(ranking),
        "latex": lambda: _latex(ranking),
        "markdown": lambda: _markdown(ranking),
        "json": lambda: json.dumps(content(ranking, planned), ensure_ascii=False) + "\n",
    }
    text = texts[form]()
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{form} = {path}: cannot be written ({error.strerror or error})") from None
