"""Causes of an order, one at a time: levels, the preference model of few judgments, and the same question on tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.experiments import texts_in, written

from llm_bridge.cli import _show_causes, main
from llm_bridge.experiment import causes, pipeline, read_experiment, run_causes, run_experiment, stages_of
from llm_bridge.experiment.learned_margins import StatesEncoder, drawn, fit_margins, quality
from llm_bridge.experiment.on_tables import main as on_tables
from llm_bridge.experiment.on_tables import orders_on_tables
from nashlab.game import BadInput
from nashlab.parallel import in_parallel

HEAD: dict[str, Any] = {
    "methods": ["online-ipo", "nash-md-pg"],
    "seeds": [0],
    "closed": {"temperature": 5.0, "kinds": ["human", "foreign", "lead", "terse"], "samples": 2, "max_new_tokens": 4},
    "head": {"width": 4, "snapshot_every": 2},
}
CAUSES = """
[[causes.cycles]]
at = 0
closed.cycles = 0.0
[[causes.cycles]]
at = 1
[[causes.judgments]]
at = 200
closed.comparisons = 200
train.steps = 3
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causes")
    path = written(folder / "c.toml", texts_in(folder), **HEAD)
    path.write_text(path.read_text() + CAUSES)
    return path


@pytest.fixture(scope="module")
def ran(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    folder, said = tmp_path_factory.mktemp("ran"), []
    return folder, run_causes(read_experiment(config), folder, said.append), said


# -- levels ----------------------------------------------------------------------------------------------------------


def test_a_level_is_the_experiment_with_its_change_alone(config: Path) -> None:
    experiment = read_experiment(config, ["train.tau=0.3"])
    none, all_, judged = (level for levels in experiment.causes.values() for level in levels)
    assert (none.at, none.experiment.closed.cycles, all_.experiment.closed.cycles) == (0.0, 0.0, 1.0)
    assert judged.experiment.settings("online-ipo", 0).steps == 3
    assert all_.experiment.settings("online-ipo", 0).steps == 4
    assert {level.experiment.tau for level in (none, all_, judged)} == {0.3}  # an override reaches every level
    assert none.experiment.head == all_.experiment.head


def test_the_shipped_causes_change_one_thing_each() -> None:
    """Except the temperature, where every method's own τ and η follow the game's."""
    base = read_experiment("closed-1000", ["grid.tau=[]", "grid.beta=[]", "name=closed-1000-causes"])
    causes = read_experiment("closed-1000-causes").causes
    for name, levels in causes.items():
        same = [level for level in levels if not set(level.change) - {"methods"}]
        assert len(same) == 1, name
        assert same[0].experiment.settings("online-ipo", 0) == base.settings("online-ipo", 0)
        assert len({level.at for level in levels}) == len(levels)
    scaled = [level.experiment for level in causes["temperature"]]
    for method in ("online-dpo", "offline-dpo", "rlhf-pg", "online-slic"):
        ratios = [e.settings(method, 0).tau / e.tau for e in scaled]
        assert np.ptp(ratios) < 1e-12
    steps = [e.settings("nash-prox", 0) for e in scaled]
    assert [round(s.step_size * s.tau, 2) for s in steps] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("change", "said"), [
    ("[[causes.a]]\nat = 1\nclosed.cycle = 0.1", r"causes\.a\[0\].*cycle.*did you mean 'cycles'"),
    ("[[causes.a]]\nclosed.cycles = 0.1", r"causes\.a\[0\]: at = None, must be the number"),
    ("[[causes.a]]\nat = 1\nname = \"x\"", r"causes\.a\[0\]: name cannot be changed"),
    ("[causes]\na = 3", "causes must hold lists of changes"),
    ("[[causes.a]]\nat = 1\nhead.width = 0", r"causes\.a\[0\]: must have a head"),
    ("[[causes.a]]\nat = 1\nclosed.comparisons = 50", "comparisons = 50, must be 0 .* or at least 200"),
    ("[[causes.a]]\nat = true", "at = True"),
    ("[[causes.a]]\nat = nan", r"causes\.a\[0\]: at = nan, must be the number"),
    ("[[causes.a]]\nat = 1" + "0" * 400, r"causes\.a\[0\]: at = 10+, must be the number"),
    ("[[causes.a]]\nat = 1\n[[causes.a]]\nat = 1.0\nseeds = [3]", r"causes\.a: at = \[1\.0, 1\.0\], must be different"),
    ("[[causes.a]]\nat = 1\nclosed.comparisons = 1000000000000", r"comparisons = 10+, must be 0 .* at most 10000000"),
    ("[tuned.rlhf-pg]\nlearning_rate = 0.1\n[[causes.a]]\nat = 1\ntuned.rlhf.tau = 0.5",
     r"causes\.a\[0\]: tuned = rlhf-pg, rlhf, must name each method once"),
])  # fmt: skip
def test_bad_causes_are_refused_by_name(change: str, said: str, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(config.read_text().replace(CAUSES, "") + "\n" + change)
    with pytest.raises(BadInput, match=said):
        read_experiment(path)


@pytest.mark.parametrize(("like", "said"), [
    ("3", r"bad\.toml: like = 3, must be the name"),
    ('"nowhere.toml"', r"bad\.toml: like = 'nowhere\.toml': nowhere\.toml: cannot be read"),
    ('"closed-1000-causes"', r"bad\.toml: like = 'closed-1000-causes', must be a configuration that is not"),
])  # fmt: skip
def test_what_a_configuration_cannot_be_like_is_refused_by_name(like: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(f"like = {like}\n")
    with pytest.raises(BadInput, match=said):
        read_experiment(tmp_path / "bad.toml")


def test_what_a_later_level_lacks_is_refused_before_the_first_one(config: Path, tmp_path: Path) -> None:
    late = '[[causes.late]]\nat = 1\npolicy.source = "/nowhere"\n'
    (tmp_path / "late.toml").write_text(config.read_text() + late)
    with pytest.raises(BadInput, match=r"policy: .*nowhere"):
        run_causes(read_experiment(tmp_path / "late.toml"), tmp_path / "ran")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(BadInput, match="causes is empty"):
        run_causes(read_experiment(config, ["causes={}"]), tmp_path / "ran")


def test_a_method_of_one_level_alone_has_its_row(
    ran: tuple[Path, dict[str, Any], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The level is a finished one with a method renamed, so that no other run is needed."""
    first, second = (dict(level) for level in ran[1]["causes"]["cycles"])
    second["methods"] = ["online-ipo", "egpo"]
    _show_causes({**ran[1], "causes": {"cycles": [first, second]}})
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:]}
    assert {name: len(cells) for name, cells in rows.items()} == {"online-ipo": 2, "nash-md-pg": 1, "egpo": 1}
    assert rows["egpo"] == [f"{second['exploitability']['mean'][1]:.4f}"]


def test_a_sweep_refuses_causes(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(config), "--out", str(tmp_path / "swept"), "--override", "grid.tau=[0.1]"])
    assert ended.value.code == 2
    assert "causes = cycles, judgments, are not swept" in capsys.readouterr().err


def test_judgments_need_a_head(config: Path) -> None:
    with pytest.raises(BadInput, match="comparisons = 200, must be 0 without a head"):
        read_experiment(config, ["head.width=0", "closed.comparisons=200", "causes={}"])


def test_a_level_that_changes_nothing_is_the_experiment_itself(
    ran: tuple[Path, dict[str, Any], list[str]], config: Path
) -> None:
    folder, found, said = ran
    assert len(said) == stages_of(read_experiment(config))
    made = set((folder / "stages").iterdir())
    whole = run_experiment(read_experiment(config, ["causes={}"]), folder)
    assert set((folder / "stages").iterdir()) == made  # nothing had to be made again
    none, all_ = found["causes"]["cycles"]
    assert all_["exploitability"]["mean"] == whole["evidence"]["order"]["exploitability"]["mean"]
    assert none["exploitability"]["mean"] != all_["exploitability"]["mean"]
    assert none["intransitivity"]["cyclic_energy"] < 1e-12 < all_["intransitivity"]["cyclic_energy"]
    assert found["causes"]["judgments"][0]["preference_model"]["error"] > 0
    assert json.loads((folder / "causes.json").read_text()) == found


def test_a_level_s_win_rate_is_that_of_its_curve(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the shipped results, where every method has left μ and wins more than half against it."""
    shipped = json.loads((files("llm_bridge") / "results" / "closed-1000.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(causes, "results_of", lambda *arguments: shipped)
    found = causes._level(read_experiment(config).causes["cycles"][1], Path("unused"), print, None)
    rates = found["win_rate"]
    for m, *numbers in zip(found["methods"], *(rates[k] for k in ("low", "mean", "high", "by_seed")), strict=True):
        low, mean, high, by_seed = numbers
        now = found["chosen"][m]
        curve = next(c for c in shipped["evidence"]["curves"]
                     if (c["method"], c["tau"], c["beta"]) == (m, now["tau"], now["beta"]))  # fmt: skip
        assert mean == pytest.approx(curve["win_rate"][curve["step"].index(now["step"])], abs=1e-6)  # six decimals
        assert 0.5 < low < mean < high
        assert mean == pytest.approx(np.mean(by_seed), rel=1e-12)


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "deep", reason="half a minute; the deep profile runs it")
def test_causes_go_on_after_a_kill_to_the_same_last_bit(
    ran: tuple[Path, dict[str, Any], list[str]], config: Path, tmp_path: Path
) -> None:
    """Killed with SIGKILL in the middle, then again later, then left alone."""
    command = [sys.executable, "-m", "llm_bridge", "run", str(config), "--out", str(tmp_path), "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    stages = tmp_path / "stages"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(stages.glob("*/stage.json"))) < 4 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None  # it was killed at work
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "causes.json").exists()
    again = run_causes(read_experiment(config), tmp_path)
    wanted = ran[1]
    assert again["causes"] == wanted["causes"]
    for place in (ran[0] / "stages").glob("*/head.safetensors"):
        assert (stages / place.parent.name / place.name).read_bytes() == place.read_bytes()


# -- the preference model --------------------------------------------------------------------------------------------


def world(texts: int = 40, k: int = 4) -> tuple[torch.Tensor, np.ndarray, list[str], list[list[str]]]:
    """Features, and margins that one of them and a cyclic form of two make."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((texts, k, 6))
    a, b = features[..., 0], features[..., 1]
    cycle = a[:, :, None] * b[:, None, :] - b[:, :, None] * a[:, None, :]
    margins = 1 / (1 + np.exp(-2 * (a[:, :, None] - a[:, None, :]) - 0.5 * cycle)) - 0.5
    names = [f"text {i}" for i in range(texts)]
    candidates = [[f"{i} {j}" for j in range(k)] for i in range(texts)]
    return torch.from_numpy(3 * features).float(), margins, names, candidates


def test_preference_models_are_there_before_the_first_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes with two methods of one seed would both want to fit its model, and one would be refused."""
    there: list[int] = []

    def watched(*arguments: Any) -> None:
        there.append(len(list((tmp_path / "stages").glob("margins-*/margins.npy"))))
        in_parallel(*arguments)

    monkeypatch.setattr(pipeline, "in_parallel", watched)
    changes = ["causes={}", "closed.comparisons=200", "seeds=[0, 1]", "train.steps=2"]
    said: list[str] = []
    run_experiment(read_experiment(config, changes), tmp_path, said.append)
    assert there == [2]
    assert len(said) == stages_of(read_experiment(config, changes))


def test_judgments_are_draws_from_the_judge() -> None:
    _, margins, texts, candidates = world(2, 3)
    found = drawn(margins, texts, candidates, 12_000, seed=1)
    for x in range(2):
        for i, j in ((0, 1), (2, 0)):
            labels = [c.p for c in found if (c.prompt, c.left, c.right) == (texts[x], *np.take(candidates[x], [i, j]))]
            p = margins[x, i, j] + 0.5
            assert abs(len(labels) - 1_000) < 5 * 31  # a twelfth of them, within five standard deviations
            assert abs(np.mean(labels) - p) < 5 * np.sqrt(p * (1 - p) / len(labels))
    assert {c.p for c in found} == {0.0, 1.0}


def test_more_judgments_make_a_better_model_and_a_constant_is_told_from_it(tmp_path: Path) -> None:
    features, margins, texts, candidates = world()
    errors = []
    for count in (200, 8_000):
        part = tmp_path / str(count)
        part.mkdir()
        fit_margins(features, margins, texts, candidates, count=count, width=16, seed=0, part=part)
        learned = np.load(part / "margins.npy")
        by_hand = [learned[x, i, j] - margins[x, i, j] for x in range(40) for i in range(4) for j in range(i)]
        kept = json.loads((part / "quality.json").read_text())
        assert kept["error"] == pytest.approx(np.sqrt(np.mean(np.square(by_hand))), rel=1e-12)
        assert np.array_equal(learned, -learned.swapaxes(1, 2))
        errors.append(kept["error"])
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.5 * quality(np.zeros_like(margins), margins)["error"]


def test_quality_by_hand() -> None:
    exact, guess = (np.array([[[0.0, v], [-v, 0.0]]]) for v in (0.3, -0.1))
    found = quality(guess, exact)
    assert (found["error"], found["ordered"]) == (pytest.approx(0.4), 0.0)
    assert found["excess"] == pytest.approx(0.8 * np.log(0.8 / 0.4) + 0.2 * np.log(0.2 / 0.6))
    assert quality(guess, np.zeros_like(guess))["ordered"] == 1.0  # no pair is decided, so none is wrong


def test_a_states_encoder_reads_the_states_of_its_text() -> None:
    features, _, texts, candidates = world(3, 2)
    encoder = StatesEncoder(features, texts, candidates, width=5, seed=0)
    weight, bias = (p.detach().numpy() for p in encoder.hidden.parameters())
    found = encoder([(texts[2], *candidates[2][::-1]), (texts[0], *candidates[0])]).detach().numpy()
    for k, (x, first, second) in enumerate(((2, 1, 0), (0, 0, 1))):
        both = np.concatenate([features[x, first].numpy(), features[x, second].numpy()])
        assert np.allclose(found[k], np.tanh(weight @ both + bias), atol=1e-6)


# -- on tables -------------------------------------------------------------------------------------------------------


def swept(path: Path, keep: Callable[[dict[str, Any]], bool] = lambda row: True) -> Path:
    """A sweep's table, with numbers chosen so that the best setting and the means are known without a computation."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"algorithm": m, "family": f, "game": g, "seed": s, "step": step, "temperature": 0.1, "step_size": size,
         "beta": 0.5, "exploitability": base + 0.1 * (size == 0.05) + 0.01 * g + (step == 0)}
        for m, base in (("online-ipo", 0.3), ("ipo-md", 0.2), ("rlhf-pg", 0.4)) for f in ("mixed:0", "mixed:1")
        for g in (0, 1) for s in (0, 1, 2) for step in (0, 9) for size in (0.02, 0.05)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist([row for row in rows if keep(row)]), path)
    return path


def test_the_order_on_tables_takes_each_method_s_best_setting(tmp_path: Path) -> None:
    found = orders_on_tables(swept(tmp_path / "sweep.parquet"))
    assert (found["games"], found["seeds"], found["tau"]) == ({"mixed:0": 2, "mixed:1": 2}, 3, 0.1)
    assert found["start"]["mixed:0"] == pytest.approx(1 + (0.3 + 0.2 + 0.4) / 3 + 0.05 + 0.005)
    for order in (found["families"]["mixed:1"], found["all"]):
        assert order["mean"] == pytest.approx([0.305, 0.205, 0.405])
        assert order["order"] == ["ipo-md", "online-ipo", "rlhf-pg"]
        assert order["paper"]["kendall"] == pytest.approx(1 / 3)  # the paper: online IPO, IPO-MD, ..., RLHF


@pytest.mark.parametrize(("keep", "said"), [
    (lambda r: (r["algorithm"], r["family"]) != ("rlhf-pg", "mixed:1"), "0 rows .* rlhf-pg,.*family = mixed:1"),
    (lambda r: (r["step_size"], r["seed"]) != (0.02, 2), "0 rows .* step_size = 0.02.* seed = 2"),
    (lambda r: (r["algorithm"], r["step"]) != ("rlhf-pg", 9), "0 rows .* algorithm = rlhf-pg"),
    (lambda r: r.update(temperature=0.1 + r["seed"]) is None, r"temperature = \[0\.1, 1\.1, 2\.1\], must be one"),
    (lambda r: r["seed"] > 2, "algorithm.* is missing or empty"),
    (lambda r: bool(r.pop("beta")), "beta is missing"),
])  # fmt: skip
def test_a_sweep_with_gaps_or_two_temperatures_is_refused(
    keep: Callable[[dict[str, Any]], bool], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        orders_on_tables(swept(tmp_path / "sweep.parquet", keep))


@pytest.mark.parametrize("arguments", [(), ("nowhere.parquet", "out.json"), (__file__, "out.json")])
def test_bad_arguments_of_tables_are_one_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        on_tables(arguments)
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith("on_tables: " + (f"table = {arguments[0]}: " if arguments else "arguments = [], must be"))
