"""One page for an experiment: tables of win rates, what is left to exploit, the paper's table beside it, every setting.

Drawn from results.json alone, so it can be drawn again without models; one file, figures inside.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_bridge.experiment.plots import curves, tables
from nashlab.files import replacing
from nashlab.game import BadInput, first_line
from nashlab.report import CSS

__all__ = ["read_results", "write_report"]


def read_results(folder: Path) -> dict[str, Any]:
    """The results.json of an experiment's folder."""
    path = folder / "results.json" if folder.is_dir() else folder
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in ("name", "kind", "tables", "methods", "speed") if name not in found]
        if missing or found["kind"] not in ABOUT:
            raise KeyError(missing)
        return dict(found)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: is no results.json of an experiment") from None


def write_report(path: Path, *results: Mapping[str, Any]) -> None:
    """The page of one or more experiments, whole or not at all; BadInput for results that lack what it shows."""
    parts = [f"<!doctype html><meta charset=utf-8><title>Experiments</title><style>{CSS}</style>"]
    for one in results:
        try:
            parts += _experiment(one)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BadInput(f"{one['name']}: its results.json is damaged or of another version ({why})") from error
    with replacing(path) as part:
        part.write_text("\n".join(parts), encoding="utf-8")


ABOUT = {
    "closed": "on closed candidate sets, at τ = {tau}. {judge}; every number is an expectation over candidates, not a "
    "sample.",
    "sampled": "trained on completions that they write, compared by a preference model (RLHF: a reward model) that was "
    "learned from the same comparisons. Judged on texts that nothing was trained on.",
}
COLUMNS = {
    "exploitability": "exploitability at τ",
    "exploitability_unregularised": "at 0",
    "distance": "‖π − π*‖₁",
    "kl": "KL to the reference, nats",
    "ended": "ended by itself",
}


def _experiment(results: Mapping[str, Any]) -> list[str]:
    parts = [
        f"<h1>{_text(results['name'])}</h1>",
        f"<p>{len(results['methods'])} methods {_text(_about(results))}</p>",
        _image(curves(results)),
    ]
    for which, table in results["tables"].items():
        parts += [
            f"<h2>{_text(which)}</h2>",
            _image(tables(results, which)),
            _won(results, table),
            _qualities(table),
            _lottery(results, table),
        ]
    if results.get("intransitivity"):
        parts += ["<h2>How far the preferences are from a ranking</h2>", _cycles(results["intransitivity"])]
    if "models" in results:
        parts += ["<h2>Preference and reward model on held-out comparisons</h2>", _models(results)]
    if results.get("samples"):
        parts += ["<h2>Completions side by side</h2>", *map(_sample, results["samples"])]
    if results.get("grid"):
        parts += ["<h2>What was tried beforehand</h2>", _grid(results["grid"])]
    return [*parts, *_costs(results)]


def _about(results: Mapping[str, Any]) -> str:
    """How the methods played, and who compared their responses."""
    judge = results.get("judge", "raters")
    who = f"Responses are compared by {judge}"
    if judge == "raters":
        who = "The raters are a synthetic population with known, intransitive preferences"
    return ABOUT[results["kind"]].format(tau=results["tau"], judge=who)


def _costs(results: Mapping[str, Any]) -> list[str]:
    speed = [
        [m, f"{s['step']:.3f}", f"{s['collect'] / s['step']:.0%}", f"{s['tokens_per_second']:.0f}"
         if "tokens_per_second" in s else ""] for m, s in results["speed"].items()
    ]  # fmt: skip
    total = sum(results["seconds"].values())
    return [
        "<h2>What it took</h2>",
        f"<p>{total / 60:.1f} minutes of all stages together; {_text(results['environment']['device'])}.</p>",
        _rows(("", "seconds a step", "of them collecting samples", "tokens a second, whole step"), speed),
        _rows(("stage", "seconds"), [[name, f"{s:.1f}"] for name, s in results["seconds"].items()]),
        f"<h2>Settings</h2><pre>{_text(json.dumps(results['settings'], indent=1, ensure_ascii=False))}</pre>",
    ]


def _won(results: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Prompts that the row wins against the column, of those that are decided, with their interval."""
    count = len(results["methods"])

    def cell(won: Mapping[str, Any] | None) -> str:
        if won is None:
            return ""
        return f"{won['wins']}:{won['losses']} [{won['low']:.2f}, {won['high']:.2f}]"

    rows = [[name, *map(cell, row[:count])] for name, row in zip(results["methods"], table["won"], strict=False)]
    head = "<h3>Prompts won : lost, and the 95 % interval of the share won (Clopper-Pearson)</h3>"
    return head + _rows(("", *results["methods"]), rows)


def _qualities(table: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for q in table["quality"].values() for name in q))

    def cell(values: Sequence[float] | None) -> str:
        return "" if not values else f"{sum(values) / len(values):.4f}"

    rows = [[player, *(cell(q.get(name)) for name in names)] for player, q in table["quality"].items()]
    return _rows(("", *(COLUMNS.get(name, name) for name in names)), rows)


def _models(results: Mapping[str, Any]) -> str:
    columns = ("accuracy", "ceiling", "log_loss", "brier", "calibration_error", "order_swap_error", "count")
    rows = [[name, *(f"{q[c]:.4g}" for c in columns)] for name, q in results["models"].items()]
    return _rows(("", *columns), rows)


def _cycles(sets: Mapping[str, Mapping[str, float]]) -> str:
    columns = {
        "cyclic_triads": "cyclic triads",
        "without_condorcet": "texts without a Condorcet winner",
        "cyclic_energy": "cyclic energy of the log-odds",
        "excess": "nats a judgment from the best Bradley-Terry model",
        "prompts": "texts",
    }
    return _rows(("", *columns.values()), [[name, *(f"{m[c]:.4g}" for c in columns)] for name, m in sets.items()])


def _sample(sample: Mapping[str, str]) -> str:
    rows = [[name, text] for name, text in sample.items() if name != "prompt"]
    return f"<p>{_text(sample['prompt'])}</p>" + _rows(("", "summary"), rows).replace(' class="number"', "")


def _grid(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = ("method", "tau", "beta", "seed", "win_rate", "merit")
    shown = [[f"{r[c]:.4g}" if isinstance(r[c], float) else str(r[c]) for c in columns] for r in rows]
    return _rows(columns, shown)


def _lottery(results: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    found = table["nash_averaging"]
    shares = found.get("support_share", found["policy"])
    rows = [[m, f"{p:.3f}", f"{s:.2f}"] for m, p, s in zip(results["methods"], found["policy"], shares, strict=True)]
    text = "<h3>Nash averaging of the methods</h3>" + _rows(("", "weight", "in the support, share of resamples"), rows)
    if table["agreement"]:
        a = table["agreement"]
        order = "none, all are even" if a["kendall"] is None else " > ".join(a["order_here"])
        text += (
            f"<p>Order here: {_text(order)}. The paper's: {_text(' > '.join(a['order_paper']))}. "
            f"Kendall's τ {_number(a['kendall'], '.2f')}; {a['discordant_pairs']} of {a['pairs']} pairs the other way "
            "round.</p>"
        )
    return text


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_cells("th", head), *(_cells("td", row) for row in rows)]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cells(tag: str, row: Sequence[str]) -> str:
    """A row's cells: a name, then numbers."""
    first, *others = (_text(cell) for cell in row)
    return f"<{tag}>{first}</{tag}>" + "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)


def _image(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return f'<figure><img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"></figure>'


def _number(value: float | None, form: str) -> str:
    return "undefined" if value is None else format(value, form)


def _text(value: object) -> str:
    return html.escape(str(value))
