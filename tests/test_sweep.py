"""Sweeps: one table, nothing lost by a kill and nothing run twice, the same bytes after a resume."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nashlab import sweep as module
from nashlab.gallery import get
from nashlab.game import BadInput
from nashlab.solve import solve
from nashlab.sweep import read_sweep, run_sweep

TEXT = """
games = ["rps-weighted", {family = "cyclic", n = 4, count = 3, seed = 2}]
algorithms = ["omd", "ipo-md"]
temperatures = [0.2, 1.0]
step_sizes = [0.1]
betas = [0.1, 0.5]
steps = 40
records = 4
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(TEXT)
    return path


def test_the_table_holds_what_single_runs_find(config: Path, tmp_path: Path) -> None:
    sweep = read_sweep(config)
    assert len(sweep.units()) == 2 + 4  # OMD has no mixture, so no second β
    rows = pq.read_table(run_sweep(sweep, tmp_path / "out")).to_pylist()
    assert len(rows) == 6 * 4 * 5
    run = solve("omd", get("rps-weighted"), 0.2, step_size=0.1, steps=40, every=10)
    seen = [r for r in rows if r["algorithm"] == "omd" and r["temperature"] == 0.2 and r["game"] == "rps-weighted"]
    assert [r["step"] for r in seen] == run.history["steps"].tolist()
    for name in ("exploitability", "distance"):
        # a run among others, and a run alone: sums in another order
        assert [r[name] for r in seen] == pytest.approx(run.history[name].tolist(), rel=1e-12, abs=1e-14)


def test_an_interrupted_sweep_resumes_to_the_same_bytes_and_runs_nothing_twice(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = read_sweep(config)
    whole = run_sweep(sweep, tmp_path / "whole").read_bytes()
    calls: list[str] = []
    real = module.solve

    def counted(name: str, *arguments: object, **keywords: object) -> object:
        calls.append(name)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(name, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "solve", counted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, tmp_path / "cut")
    assert len(list((tmp_path / "cut" / "parts").glob("*.parquet"))) == 2
    assert run_sweep(sweep, tmp_path / "cut", resume=True).read_bytes() == whole
    # six units of two batches each; the one in progress when it was cut is the only one begun again
    assert len(calls) == 6 + 2 * 4


def test_kill_9_loses_at_most_one_unit(config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nashlab.cli", "sweep", str(config), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "out" / "parts"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not list(parts.glob("*.parquet")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {p.name: p.stat().st_mtime_ns for p in parts.glob("*.parquet")}
    assert before
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = {p.name: p.stat().st_mtime_ns for p in parts.glob("*.parquet")}
    assert len(after) == 6
    assert all(after[name] == moment for name, moment in before.items())
    assert (tmp_path / "out" / "sweep.png").exists()


@pytest.mark.parametrize("where", ["processes", "ray"])
def test_a_sweep_in_processes_or_on_a_cluster_ends_in_the_same_bytes(config: Path, tmp_path: Path, where: str) -> None:
    """Begun here and gone on with there: what was finished is kept, and the table is that of one process."""
    if where == "ray":
        pytest.importorskip("ray")
    serial = run_sweep(read_sweep(config), tmp_path / "serial")
    folder = tmp_path / where
    run_sweep(read_sweep(config), folder)
    parts = sorted((folder / "parts").glob("*.parquet"))
    for path in parts[1:]:
        path.unlink()
    kept = parts[0].stat().st_mtime_ns
    command = [sys.executable, "-m", "nashlab.cli", "sweep", str(config), "--out", str(folder), "--workers", "2"]
    command += ["--address", "local"] * (where == "ray")
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "sweep.parquet").read_bytes() == serial.read_bytes()
    assert sorted((folder / "parts").glob("*.parquet")) == parts
    assert parts[0].stat().st_mtime_ns == kept
    assert re.search(r"^6/6 \d+ s, 0 s left run$", done.stderr, re.MULTILINE)


def test_a_unit_that_was_run_elsewhere_and_is_not_here_is_missed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that do not share the folder must not make a table without their units."""
    monkeypatch.setattr(module, "in_parallel", lambda *arguments: None)
    with pytest.raises(BadInput, match=r"algorithm='omd'.* was run and is not there: do all machines share"):
        run_sweep(read_sweep(config), tmp_path / "out")
    assert not (tmp_path / "out" / "sweep.parquet").exists()


def test_a_cluster_that_is_not_there_is_refused_at_once(config: Path, tmp_path: Path) -> None:
    """Nobody listens at this port; Ray alone would try for more than a minute."""
    began = time.monotonic()
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "nashlab.cli", "sweep", str(config), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--address", "127.0.0.1:9"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("nashlab: address = '127.0.0.1:9' is not a Ray cluster")
    assert time.monotonic() - began < 45


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 40", "steps = 0"), "steps = 0, must be an integer of at least 1"),
        (("steps = 40", "stepz = 40"), "'stepz' is unknown"),
        (("steps = 40\n", ""), "steps is missing, must be given"),
        (("[0.2, 1.0]", "[-1.0]"), "temperature = -1.0, must be finite and at least 0"),
        (("[0.2, 1.0]", "[]"), "at least one entry"),
        (('"omd"', '"omdd"'), "did you mean 'omd'"),
        (("betas = [0.1, 0.5]", "betas = [2.0]"), "beta = 2.0, must be in"),
        (("records = 4", "feedback = 'maybe'"), "feedback = 'maybe'"),
        (("steps = 40", "steps = = 40"), "is not TOML"),
    ],
)
def test_bad_configurations_are_named(config: Path, tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert read_sweep(config).steps == 40  # canary: without the change it is read
    config.write_text(TEXT.replace(*change))
    with pytest.raises(BadInput, match=message):
        run_sweep(read_sweep(config), tmp_path / "out")


def test_a_folder_belongs_to_one_configuration(config: Path, tmp_path: Path) -> None:
    run_sweep(read_sweep(config), tmp_path / "out")
    with pytest.raises(BadInput, match="--resume continues it"):
        run_sweep(read_sweep(config), tmp_path / "out")
    config.write_text(TEXT.replace("steps = 40", "steps = 50"))
    with pytest.raises(BadInput, match="another configuration"):
        run_sweep(read_sweep(config), tmp_path / "out", resume=True)


def test_seeds_of_a_bandit_sweep_differ(config: Path, tmp_path: Path) -> None:
    config.write_text(TEXT.replace('"omd", ', "") + 'feedback = "bandit"\nseeds = 3\n')
    rows = pq.read_table(run_sweep(read_sweep(config), tmp_path / "out")).to_pylist()
    last = {
        r["seed"]: r["distance"]
        for r in rows
        if r["game"] == "rps-weighted" and r["step"] == 40 and r["beta"] == 0.1 and r["temperature"] == 1.0
    }
    assert len(set(last.values())) == 3


SHARDED = """
import jax, numpy as np, sys
from nashlab.environment import Feedback
from nashlab.gallery import random_game
from nashlab.game import PreferenceGame
from nashlab.solve import solve
rng = np.random.default_rng(0)
games = PreferenceGame.from_margins(np.stack([random_game("uniform", 4, rng).margins for _ in range(6)]))
exact = solve("egpo", games, 0.1, step_size=0.3, steps=50)
drawn = solve("online-ipo", games, 0.3, step_size=0.05, steps=50, feedback=Feedback(4), seed=1)
print(len(jax.devices()), exact.log_policy.tobytes().hex(), drawn.log_policy.tobytes().hex())
"""


def test_runs_are_shared_out_over_devices_with_the_same_bits() -> None:
    answers = []
    for count in (1, 2):
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [sys.executable, "-c", SHARDED], env=environment, capture_output=True, text=True, check=True
        )
        devices, *policies = done.stdout.split()
        assert int(devices) == count
        answers.append(policies)
    assert answers[0] == answers[1]


def test_the_papers_order_by_exploitability(tmp_path: Path) -> None:
    """Shipped configuration, fewer games: the methods that solve the game end far below DPO, SLiC and RLHF."""
    shipped = read_sweep(Path("paper-order"))
    games = [{"family": "mixed:0.5", "n": 6, "count": 4, "seed": 3}]
    small = replace(shipped, games=games, step_sizes=[0.05], steps=8000, records=4, seeds=2)
    table = pq.read_table(run_sweep(small, tmp_path))
    columns = {k: np.asarray(v) for k, v in table.to_pydict().items()}
    end = columns["step"] == 8000
    worth = {name: columns["exploitability"][end & (columns["algorithm"] == name)] for name in shipped.algorithms}
    solved = np.concatenate([worth[name] for name in ("online-ipo", "ipo-md", "nash-md-pg")])
    missed = np.concatenate([worth[name] for name in ("online-dpo", "online-slic", "rlhf-pg")])
    assert np.exp(np.log(missed).mean()) > 10 * np.exp(np.log(solved).mean())
    assert np.median(worth["online-dpo"]) < np.median(worth["rlhf-pg"])


def test_an_unknown_configuration_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'paper-order'"):
        read_sweep(Path("paper-ordr"))
