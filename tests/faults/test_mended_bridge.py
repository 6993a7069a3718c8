"""What the campaign has found in training and pipelines, each fault as a small test of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from scenes import CLOSED, SCENES

from llm_bridge.cli import main
from llm_bridge.experiment import read_experiment, run_experiment, stages, stages_of
from llm_bridge.experiment.stages import Stages
from llm_bridge.judges import OneOrder
from llm_bridge.policy import Prompts
from llm_bridge.training import Generated, Settings, checkpoint, train
from llm_bridge.verify import tiny
from nashlab.files import replacing


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("text", ["Error while serializing: I/O error: No space left on device (os error 28)",
                                  "No space left on device (os error 28)"])  # fmt: skip
def test_what_libraries_say_of_a_full_disk_is_an_error_of_the_system(tmp_path: Path, text: str) -> None:
    """safetensors and tokenizers have errors of their own for it."""
    for error in (SafetensorError(text), Exception(text)):
        with pytest.raises(OSError, match="No space left on device") as caught, replacing(tmp_path / "x"):
            raise error
        assert caught.value.errno == 28
    with pytest.raises(SafetensorError, match="header"), replacing(tmp_path / "x"):
        raise SafetensorError("header too large")  # canary: not the system's


# -- stages ----------------------------------------------------------------------------------------------------------


def make(part: Path, work: Path) -> None:
    (part / "inner").mkdir()
    (part / "inner" / "x.txt").write_text("what was made")


def harm(place: Path, kind: str) -> None:
    facts = (place / "stage.json").read_text()
    match kind:
        case "a bit":
            flip(place / "inner" / "x.txt", 3)
        case "cut":
            os.truncate(place / "inner" / "x.txt", 5)
        case "gone":
            (place / "inner" / "x.txt").unlink()
        case "facts cut":
            (place / "stage.json").write_text(facts[:-20])
        case "facts gone":
            (place / "stage.json").unlink()
        case "facts no text":
            (place / "stage.json").write_bytes(b"\xff\xfe")
        case "facts of another":
            (place / "stage.json").write_text(facts.replace('"seed": 1', '"seed": 3'))
        case "facts without seconds":
            (place / "stage.json").write_text(facts.replace('"seconds"', '"secomds"'))


KINDS = ("a bit", "cut", "gone", "facts cut", "facts gone", "facts no text", "facts of another",
         "facts without seconds")  # fmt: skip


@pytest.mark.filterwarnings("default::RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_stage_is_made_again(tmp_path: Path, kind: str) -> None:
    place = Stages(tmp_path).made("a", {"seed": 1}, make)
    harm(place, kind)
    again = Stages(tmp_path)
    assert not again.finished(place)
    with pytest.warns(RuntimeWarning, match=f"{place.name} is damaged .* and is made again"):
        assert again.made("a", {"seed": 1}, make) == place
    assert (place / "inner" / "x.txt").read_text() == "what was made"
    assert again.finished(place)
    assert list(again.seconds()) == [place.name]


def test_an_undamaged_stage_is_left_alone(tmp_path: Path) -> None:
    place = Stages(tmp_path).made("a", {"seed": 1}, make)
    moment = (place / "inner" / "x.txt").stat().st_mtime_ns
    assert Stages(tmp_path).made("a", {"seed": 1}, make) == place
    assert (place / "inner" / "x.txt").stat().st_mtime_ns == moment


def test_what_a_kill_has_left_half_copied_goes_away(tmp_path: Path) -> None:
    place = Stages(tmp_path).place("a", {})
    (tmp_path / f".{place.name}.k3f9_2ab").mkdir()
    Stages(tmp_path).made("a", {}, make)
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


def test_a_stage_that_another_process_has_just_made_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stages.alone

    @contextmanager
    def late(work: Path) -> Iterator[None]:
        monkeypatch.setattr(stages, "alone", real)
        Stages(tmp_path).made("a", {}, make)  # while we waited for the lock
        work.mkdir(exist_ok=True)
        with real(work):
            yield

    monkeypatch.setattr(stages, "alone", late)

    def never(part: Path, work: Path) -> None:
        raise AssertionError("made twice")

    place = Stages(tmp_path).made("a", {}, never)
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("experiment")
    SCENES["run"].prepare(folder)
    text = (CLOSED + "[closed]\ntemperature = 5.0\n").replace('"texts.jsonl"', json.dumps(str(folder / "texts.jsonl")))
    (folder / "run.toml").write_text(text)
    found = read_experiment(folder / "run.toml", ['methods=["online-ipo"]'])
    return found, folder / "out", run_experiment(found, folder / "out")


@pytest.mark.filterwarnings("default::RuntimeWarning")
def test_an_experiment_mends_itself_to_the_same_results(
    experiment: tuple[Any, Path, dict[str, Any]], tmp_path: Path
) -> None:
    about, whole, results = experiment
    shutil.copytree(whole, tmp_path / "out")
    policy = next((tmp_path / "out" / "stages").glob("sft-*/policy/model.safetensors"))
    flip(policy, policy.stat().st_size - 9, 6)
    left = next((tmp_path / "out" / "stages").glob("online-ipo-*"))
    left.with_name(f"{left.name}.unfinished").mkdir()  # killed between the stage's end and the clean-up
    with pytest.warns(RuntimeWarning, match="sft-.* is damaged"):
        again = run_experiment(about, tmp_path / "out")
    timing = ("seconds", "speed")
    assert {k: v for k, v in again.items() if k not in timing} == {k: v for k, v in results.items() if k not in timing}
    names = {p.name for p in (tmp_path / "out" / "stages").iterdir()}
    assert names == {p.name for p in (whole / "stages").iterdir()}


def test_progress_counts_every_stage_once(tmp_path: Path) -> None:
    SCENES["preference"].prepare(tmp_path)
    text = (tmp_path / "run.toml").read_text().replace('"texts.jsonl"', json.dumps(str(tmp_path / "texts.jsonl")))
    (tmp_path / "run.toml").write_text(text)
    about = read_experiment(tmp_path / "run.toml", ['methods=["offline-dpo"]'])
    seen: list[str] = []
    run_experiment(about, tmp_path / "out", seen.append)
    assert len(seen) == stages_of(about)


@pytest.mark.parametrize("change", ["keys", "types", "nothing"])
def test_a_damaged_result_is_one_line(
    experiment: tuple[Any, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    results = json.loads((experiment[1] / "results.json").read_text())
    if change == "keys":
        next(iter(results["tables"].values())).pop("quality")
    if change == "types":
        results["curves"] = 3
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(SystemExit) as stopped:
        main(["compare", str(tmp_path), "--out", str(tmp_path / "page.html")])
    assert stopped.value.code == (0 if change == "nothing" else 2)
    if change != "nothing":
        assert "tiny: its results.json is damaged or of another version" in capsys.readouterr().err


# -- training --------------------------------------------------------------------------------------------------------


def trained(folder: Path | None = None, stop: int = 0, number: int = signal.SIGINT) -> tuple[list[Any], list[Any]]:
    """Weights and records of six steps, or of what a signal after some step has left."""

    def press(record: dict[str, Any]) -> None:
        if record["step"] == stop:
            os.kill(os.getpid(), number)

    policy = tiny("gpt2", seed=1)
    judge = OneOrder(lambda x, y, z: [0.5 + 0.4 * float(np.sign(len(b) - len(a))) for a, b in zip(y, z, strict=True)])
    settings = Settings(steps=6, batch=2, tau=0.3, learning_rate=0.02, checkpoint_every=2)
    source = Generated(Prompts(["a", "b"], [[1], [2, 1]]), judge, completions=4, max_new_tokens=3)
    records = train(policy, "online-ipo", source, settings, folder=folder, progress=press)
    return [p.detach().clone() for p in policy.model.parameters()], [timeless(r) for r in records]


def timeless(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if "seconds" not in k}


def test_sigterm_waits_for_the_step_and_saves(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is not caught here must not end the tests
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, stop=3, number=signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    found = checkpoint.latest(tmp_path / "checkpoints")
    assert found is not None
    assert found.step == 3


@pytest.mark.parametrize("change", ["a digit", "a line gone", "no file"])
def test_records_of_steps_before_a_checkpoint_are_as_safe_as_it_is(tmp_path: Path, change: str) -> None:
    whole = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, stop=5)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    if change == "a digit":
        flip(path, path.read_text().index('"loss": ') + 12)
    if change == "a line gone":
        path.write_text("".join(lines[:2] + lines[3:]))
    if change == "no file":
        path.unlink()
    again = trained(tmp_path)
    assert again[1] == whole[1]
    assert all(torch.equal(a, b) for a, b in zip(again[0], whole[0], strict=True))
    assert [timeless(json.loads(line)) for line in path.read_text().splitlines()] == whole[1]


def test_a_checkpoint_without_records_takes_them_from_the_log(tmp_path: Path) -> None:
    """As older versions wrote them; one damaged line costs that record alone, and is said."""
    whole = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, stop=5)
    found = checkpoint.latest(tmp_path / "checkpoints")
    assert found is not None
    facts = {name: value for name, value in found.facts.items() if name != "records"}
    shutil.rmtree(tmp_path / "checkpoints")
    checkpoint.save(tmp_path / "checkpoints", found._replace(facts=facts))
    shutil.copytree(tmp_path, tmp_path / "damaged")
    assert trained(tmp_path)[1] == whole[1]
    log = tmp_path / "damaged" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:2], lines[2][:9] + "\n", *lines[3:]]))
    with pytest.warns(RuntimeWarning, match="not a record of a step"):
        assert trained(tmp_path / "damaged")[1] == whole[1][:2] + whole[1][3:]
