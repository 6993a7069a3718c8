"""Sweeps: algorithms × temperatures × step sizes × β on many games and seeds, into one parquet table and one figure.

The work is split into units, each one combination of algorithm and numbers on all games and seeds.  A unit is written
atomically when it is complete, so an interrupted sweep loses at most the current unit, and resuming runs only what is
missing, to the same bytes.  File names hold the configuration's and the content's checksums: a damaged or foreign file
is never taken for a unit.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nashlab.algorithms import get as algorithm
from nashlab.environment import Feedback, Labels
from nashlab.files import alone, replacing, sha256_of
from nashlab.gallery import load_game, random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.optimiser import SCHEDULES
from nashlab.parallel import KEPT, Cluster, in_parallel
from nashlab.settings import checked, read_settings
from nashlab.solve import DEFAULT_BETA, solve

__all__ = ["SHIPPED", "Sweep", "Unit", "read_sweep", "run_sweep"]

SHIPPED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Unit:
    """One combination of a sweep: everything except games and seeds."""

    algorithm: str
    temperature: float
    step_size: float
    beta: float


@dataclass(frozen=True)
class Sweep:
    """The content of a configuration file.

    games         names or files, or tables {family, n, count, seed} of random games.
    algorithms, temperatures, step_sizes, betas  their product gives the units (β only for algorithms that have one).
    steps, records  the length of each run, and the number of records after the first.
    feedback      "exact" or "bandit"; completions, labels, seeds  as for `nashlab run`.
    seed          of all sampling;  schedule  of the step sizes (nashlab.optimiser.SCHEDULES).
    """

    games: list[Any]
    algorithms: list[str]
    temperatures: list[float]
    step_sizes: list[float]
    steps: int
    betas: list[float] = field(default_factory=lambda: [DEFAULT_BETA])
    records: int = 20
    feedback: Literal["exact", "bandit"] = "exact"
    completions: int = 8
    labels: Labels = "hard"
    seeds: int = 1
    seed: int = 0
    schedule: str = "constant"

    def units(self) -> list[Unit]:
        """All combinations; an algorithm without a mixture has one β."""
        found = []
        for name in self.algorithms:
            spec = algorithm(name)
            betas = self.betas if spec.regularised_sampling else self.betas[:1]
            found += [
                Unit(spec.name, *numbers) for numbers in itertools.product(self.temperatures, self.step_sizes, betas)
            ]
        return found


def read_sweep(path: Path) -> Sweep:
    """A configuration from TOML; unknown keys, missing keys and invalid numbers are refused by name.

    A bare name is a configuration of the package: ``paper-order``.
    """
    content = read_settings(path, SHIPPED)
    sweep = checked(Sweep, content, str(path))
    for name in ("games", "algorithms", "temperatures", "step_sizes", "betas"):
        if not getattr(sweep, name):
            raise BadInput(f"{path}: {name} = [], must be a list with at least one entry")
    for name in ("steps", "records", "seeds"):
        if getattr(sweep, name) < 1:
            raise BadInput(f"{path}: {name} = {getattr(sweep, name)}, must be an integer of at least 1")
    for unit in sweep.units():
        spec = algorithm(unit.algorithm)
        spec.check(unit.temperature, unit.step_size, unit.beta)
        if sweep.feedback == "bandit":
            Feedback(sweep.completions, sweep.labels).check(spec)
    if sweep.schedule not in SCHEDULES:
        raise BadInput(f"{path}: schedule = {sweep.schedule!r}, must be one of {', '.join(SCHEDULES)}")
    return sweep


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    resume: bool = False,
    advance: Callable[[str], object] = lambda name: None,
    cluster: Cluster | None = None,
) -> Path:
    """Run the missing units of a sweep, here or on a cluster, and write ``sweep.parquet``; returns its path.

    A folder with parts is refused unless ``resume``; parts of another configuration are always refused.  A damaged part
    is run again, with a warning.  The table is the same byte for byte wherever its units ran, on processors of one
    kind.  BlockingIOError if another process works in the folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        _claim(folder / "sweep.json", sweep, resume)
        # by unit: a number that is listed twice is run once
        done = {unit: _undamaged(parts, sweep, unit) for unit in dict.fromkeys(sweep.units())}
        missing = [unit for unit, path in done.items() if path is None]
        for _ in range(len(sweep.units()) - len(missing)):
            advance(KEPT)
        in_parallel(_run_unit, [(parts.absolute(), sweep, unit) for unit in missing], cluster, advance)
        done |= {unit: _undamaged(parts, sweep, unit) for unit in missing}
        if lost := [unit for unit in missing if done[unit] is None]:
            raise BadInput(f"{parts}: {lost[0]} was run and is not there: do all machines share this folder?")
        whole = folder / "sweep.parquet"
        with replacing(whole) as part:
            pq.write_table(pa.concat_tables([pq.read_table(done[unit]) for unit in sweep.units()]), part)
    return whole


def _claim(path: Path, sweep: Sweep, resume: bool) -> None:
    """Record the configuration that a folder belongs to; two never share a folder."""
    text = json.dumps(asdict(sweep), sort_keys=True, indent=1)
    if path.exists():
        if not resume:
            raise BadInput(f"{path.parent}: holds a sweep already; --resume continues it, --out names another folder")
        try:
            json.loads(found := path.read_bytes())
        except ValueError:  # parts carry their configuration in their names
            warnings.warn(f"{path} is damaged and is written again", RuntimeWarning, stacklevel=2)
        else:
            if found.decode() != text:
                raise BadInput(f"{path.parent}: holds a sweep of another configuration (sweep.json); "
                               "--out names another folder")  # fmt: skip
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _undamaged(parts: Path, sweep: Sweep, unit: Unit) -> Path | None:
    """The file of a unit that was run; a damaged one goes away, with a warning."""
    for path in parts.glob(f"{_name(sweep, unit)}.*.parquet"):
        if path.suffixes[0] == f".{sha256_of(path)[:16]}":
            return path
        warnings.warn(f"{path} is damaged and is run again", RuntimeWarning, stacklevel=2)
        path.unlink()
    return None


def _run_unit(parts: Path, sweep: Sweep, unit: Unit) -> None:
    """Run a unit and write its file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    pq.write_table(pa.concat_tables([_table(sweep, unit, games) for games in _batches(sweep)]), content)
    path = parts / f"{_name(sweep, unit)}.{hashlib.sha256(content.getbuffer()).hexdigest()[:16]}.parquet"
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())


def _name(sweep: Sweep, unit: Unit) -> str:
    """The algorithm and a checksum of everything that the unit's numbers depend on; no dot or glob character."""
    about = asdict(sweep) | asdict(unit)
    for name in ("algorithms", "temperatures", "step_sizes", "betas"):  # the unit has one of each
        del about[name]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return f"{re.sub('[^a-z0-9-]', '-', unit.algorithm)}-{digest[:16]}"


def _batches(sweep: Sweep) -> Iterator[tuple[str, list[str], PreferenceGame]]:
    """The games, grouped into batches of one size: (family, names, [X, n, n])."""
    for entry in sweep.games:
        if isinstance(entry, str):
            game = load_game(entry)
            if game.batch:
                raise BadInput(f"games: {entry!r} is contextual, a sweep runs single games")
            yield entry, [entry], game.repeated(1)
        elif isinstance(entry, Mapping) and {"family", "n"} <= set(entry) <= {"family", "n", "count", "seed"}:
            rng = np.random.default_rng(int(entry.get("seed", 0)))
            games = [random_game(entry["family"], int(entry["n"]), rng) for _ in range(int(entry.get("count", 1)))]
            names = [f"{entry['family']}-{entry['n']}-{k}" for k in range(len(games))]
            yield entry["family"], names, PreferenceGame.from_margins(np.stack([g.margins for g in games]))
        else:
            raise BadInput(f"games: {entry!r}, must be a name or a table with family, n and optional count, seed")


def _table(sweep: Sweep, unit: Unit, batch: tuple[str, list[str], PreferenceGame]) -> Any:
    """One row per game, seed and moment, as an arrow table."""
    import pyarrow as pa

    family, names, games = batch
    seeds = sweep.seeds if sweep.feedback == "bandit" else 1
    copies = np.repeat(np.arange(len(names)), seeds)
    many = PreferenceGame.from_margins(games.margins[copies], reference=games.reference[copies])
    run = solve(
        unit.algorithm,
        many,
        unit.temperature,
        step_size=unit.step_size,
        steps=sweep.steps,
        beta=unit.beta,
        every=max(1, sweep.steps // sweep.records),
        feedback=Feedback(sweep.completions, sweep.labels) if sweep.feedback == "bandit" else None,
        seed=sweep.seed,
        schedule=sweep.schedule,
    )
    moments = run.history["steps"]
    unknown = np.full((len(copies), len(moments)), np.nan)
    columns: dict[str, Any] = {
        "family": np.full(len(copies) * len(moments), family),
        "game": np.repeat(np.array(names)[copies], len(moments)),
        "seed": np.repeat(np.arange(len(copies)) % seeds, len(moments)),
        "step": np.tile(moments, len(copies)),
        **{k: run.history.get(k, unknown).ravel() for k in ("exploitability", "distance", "target_distance")},
    }
    numbers = {k: np.full(len(columns["step"]), v) for k, v in asdict(unit).items()}
    # NaN becomes null: the algorithm's own limit is unknown
    return pa.table({k: pa.array(v, from_pandas=True) for k, v in {**numbers, **columns}.items()})
