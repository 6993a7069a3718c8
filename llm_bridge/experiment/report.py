"""The page of an experiment: tables of win rates, exploitability, the paper's table for comparison, every setting.

It needs only results.json, so it can be redrawn without models; one file that contains its figures.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_bridge.experiment.evidence import drawable, evidence_of_records
from llm_bridge.experiment.evidence_plots import ahead, at_equal_kl, nearness, paths
from llm_bridge.experiment.plots import curves, tables
from nashlab.files import replacing
from nashlab.game import BadInput, first_line
from nashlab.report import page, png

__all__ = ["read_results", "write_report"]

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""(column names, rows), every cell as displayed."""


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
        raise BadInput(f"{path}: is not the results.json of an experiment") from None


def write_report(path: Path, *results: Mapping[str, Any]) -> None:
    """Write the page of one or more experiments atomically; BadInput for incomplete results."""
    shown = []
    for one in results:
        try:
            shown.append(_experiment(one))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise BadInput(f"{one['name']}: its results.json is damaged or of another version ({why})") from error
    text = page("report.html", Path(__file__).parent, title="Experiments", experiments=shown)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


ABOUT = {
    "closed": "on closed candidate sets, at τ = {tau}. {judge}; every number is an expectation over candidates, not a "
    "sample.",
    "sampled": "trained on their own completions, compared by a preference model (RLHF: a reward model) that was "
    "trained on the same comparisons. Evaluated on texts excluded from all training.",
}
COLUMNS = {
    "exploitability": "exploitability at τ",
    "exploitability_unregularised": "at 0",
    "distance": "‖π − π*‖₁",
    "kl": "KL to the reference, nats",
    "ended": "ended by itself",
}


def _experiment(results: Mapping[str, Any]) -> dict[str, Any]:
    """The template's data for one experiment; a missing table is None."""
    return {
        "name": results["name"],
        "about": f"{len(results['methods'])} methods {_about(results)}",
        "curves": _image(curves(results)),
        "tables": [_judged(results, which, table) for which, table in results["tables"].items()],
        "evidence": _evidence(drawable(results["evidence"])) if "evidence" in results else None,
        "records": _records(results["curves"]) if results["kind"] == "sampled" else None,
        "cycles": _cycles(results["intransitivity"]) if results.get("intransitivity") else None,
        "models": _models(results) if "models" in results else None,
        "samples": [(s["prompt"], [x for x in s.items() if x[0] != "prompt"]) for s in results.get("samples", ())],
        "grid": _grid(results["grid"]) if results.get("grid") else None,
        "minutes": sum(results["seconds"].values()) / 60,
        "device": results["environment"]["device"],
        "speed": _speed(results),
        "stages": (("stage", "seconds"), [[name, f"{s:.1f}"] for name, s in results["seconds"].items()]),
        "settings": results["settings"],
    }


def _evidence(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`llm_bridge.experiment.evidence.evidence_of` found: figures, and methods at equal KL."""
    near, rows = evidence["order"]["exploitability"], evidence["equal_kl"]
    chosen = [(m, near["methods"].index(m), evidence["chosen"][m]) for m in near["order"]]
    return {
        "texts": evidence["texts"],
        "nearness": _image(nearness(evidence)),
        "ahead": _image(ahead(near)),
        "paths": _image(paths(evidence)),
        "at_equal_kl": _image(at_equal_kl(evidence)) if rows else None,
        "chosen": (
            ("", "τ", "β", "step", "exploitability at τ", "95 %"),
            [[m, f"{c['tau']:g}", "" if c["beta"] is None else f"{c['beta']:g}", str(c["step"]),
              f"{near['mean'][i]:.4f}", f"{near['low'][i]:.4f} to {near['high'][i]:.4f}"] for m, i, c in chosen],
        ),
        "equal_kl": (
            ("KL", "methods", "nearest", "its loss", "largest loss", "p over texts", "p over seeds"),
            [[f"{r['kl']:g}", str(len(r["loss"]["methods"])), r["loss"]["order"][0], f"{min(r['loss']['mean']):.4f}",
              f"{max(r['loss']['mean']):.4f}",
              *(f"{r['loss']['differ'][name]:.2g}" for name in ("p_over_texts", "p_over_seeds"))] for r in rows],
        ),
    }  # fmt: skip


def _records(runs: Mapping[str, Any]) -> list[str]:
    """Figures of sampled runs by KL, where there are records between start and end."""
    found = evidence_of_records(runs)
    return [_image(paths(found)), *([_image(at_equal_kl(found))] if found["equal_kl"] else [])]


def _about(results: Mapping[str, Any]) -> str:
    """How the methods played, and who compared their responses."""
    judge = results.get("judge", "raters")
    who = f"Responses are compared by {judge}"
    if judge == "raters":
        who = "The raters are a synthetic population with known, intransitive preferences"
    return ABOUT[results["kind"]].format(tau=results["tau"], judge=who)


def _judged(results: Mapping[str, Any], which: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """One judge's tables and figure."""
    return {
        "name": which,
        "figure": _image(tables(results, which)),
        "won": _won(results, table),
        "qualities": _qualities(table),
        "lottery": _lottery(results, table),
        "agreement": _agreement(table["agreement"]),
    }


def _speed(results: Mapping[str, Any]) -> Table:
    rows = [
        [m, f"{s['step']:.3f}", f"{s['collect'] / s['step']:.0%}", f"{s['tokens_per_second']:.0f}"
         if "tokens_per_second" in s else ""] for m, s in results["speed"].items()
    ]  # fmt: skip
    return ("", "seconds per step", "thereof collecting samples", "tokens per second, whole step"), rows


def _won(results: Mapping[str, Any], table: Mapping[str, Any]) -> Table:
    """Prompts that the row wins against the column, among the decided ones, with their interval."""
    count = len(results["methods"])

    def cell(won: Mapping[str, Any] | None) -> str:
        if won is None:
            return ""
        return f"{won['wins']}:{won['losses']} [{won['low']:.2f}, {won['high']:.2f}]"

    rows = [[name, *map(cell, row[:count])] for name, row in zip(results["methods"], table["won"], strict=False)]
    return ("", *results["methods"]), rows


def _qualities(table: Mapping[str, Any]) -> Table:
    names = list(dict.fromkeys(name for q in table["quality"].values() for name in q))

    def cell(values: Sequence[float] | None) -> str:
        return "" if not values else f"{sum(values) / len(values):.4f}"

    rows = [[player, *(cell(q.get(name)) for name in names)] for player, q in table["quality"].items()]
    return ("", *(COLUMNS.get(name, name) for name in names)), rows


def _models(results: Mapping[str, Any]) -> Table:
    columns = ("accuracy", "ceiling", "log_loss", "brier", "calibration_error", "order_swap_error", "count")
    return ("", *columns), [[name, *(f"{q[c]:.4g}" for c in columns)] for name, q in results["models"].items()]


def _cycles(sets: Mapping[str, Mapping[str, float]]) -> Table:
    columns = {
        "cyclic_triads": "cyclic triads",
        "without_condorcet": "texts without a Condorcet winner",
        "cyclic_energy": "cyclic energy of the log-odds",
        "excess": "nats per judgment from the best Bradley-Terry model",
        "prompts": "texts",
    }
    return ("", *columns.values()), [[name, *(f"{m[c]:.4g}" for c in columns)] for name, m in sets.items()]


def _grid(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("method", "tau", "beta", "seed", "win_rate", "merit")
    return columns, [[f"{r[c]:.4g}" if isinstance(r[c], float) else str(r[c]) for c in columns] for r in rows]


def _lottery(results: Mapping[str, Any], table: Mapping[str, Any]) -> Table:
    found = table["nash_averaging"]
    shares = found.get("support_share", found["policy"])
    rows = [[m, f"{p:.3f}", f"{s:.2f}"] for m, p, s in zip(results["methods"], found["policy"], shares, strict=True)]
    return ("", "weight", "in the support, share of resamples"), rows


def _agreement(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The order of the methods next to the paper's."""
    if not found:
        return None
    even = found["kendall"] is None
    return {
        "here": "none, all are even" if even else " > ".join(found["order_here"]),
        "paper": " > ".join(found["order_paper"]),
        "kendall": "undefined" if even else format(found["kendall"], ".2f"),
        "discordant_pairs": found["discordant_pairs"],
        "pairs": found["pairs"],
    }


def _image(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return png(buffer.getvalue())
