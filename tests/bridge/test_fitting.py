"""Preference models are fitted: right on cycles, repeatable to the last bit, resumed wherever they were broken off."""

from __future__ import annotations

import copy
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.preferring import (
    ANSWERS,
    CYCLIC,
    EACH_MODEL,
    FILLERS,
    RANKED,
    TOKENIZER,
    comparisons,
    config,
    encoder,
    model,
    triples,
)
from bridge.words import word_tokenizer
from transformers import PretrainedConfig

from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, OneOrder, annotated
from llm_bridge.preferences import (
    MODELS,
    BradleyTerry,
    PreferenceModel,
    SkewEmbedding,
    Training,
    calibrate,
    load_encoder,
    quality,
    train_preference_model,
)
from llm_bridge.training import Diverged
from nashlab.game import BadInput

torch.set_num_threads(1)

FAST = Training(epochs=4, learning_rate=1e-3, warmup=0.3, patience=100)


def trained(kind: str, judge: Judge = CYCLIC, settings: Training = FAST, count: int = 1000) -> PreferenceModel:
    found = model(kind)
    train_preference_model(found, comparisons(judge, count, 1), comparisons(judge, 100, 2), settings)
    return found


@pytest.fixture(scope="module")
def on_cycle() -> dict[str, PreferenceModel]:
    return {kind: trained(kind) for kind in MODELS}


def test_a_cycle_is_learnt_by_all_but_the_reward(on_cycle: dict[str, PreferenceModel]) -> None:
    held_out = comparisons(CYCLIC, 300, 4)
    found = {kind: quality(m, held_out) for kind, m in on_cycle.items()}
    for kind in ("cross-encoder", "skew-embedding"):
        # the labels' own entropy is .38, a coin's loss .69
        assert found[kind].log_loss < found[kind].entropy + 0.03
        assert found[kind].log_loss < found["bradley-terry"].log_loss - 0.25
        assert found[kind].accuracy > found[kind].ceiling - 0.02
        assert (found[kind].cyclic_triads or 0) > 0.15
    assert found["bradley-terry"].log_loss > math.log(2) - 0.03
    assert found["bradley-terry"].cyclic_triads == 0


def test_a_ranking_is_learnt_by_the_reward() -> None:
    """The canary of the comparison above: where preferences are a ranking, the reward does not lose."""
    found = quality(trained("bradley-terry", RANKED), comparisons(RANKED, 300, 4))
    assert found.log_loss < found.entropy + 0.03


def test_hard_labels_teach_the_same_cycle() -> None:
    found = model("skew-embedding")
    drawn = annotated(CYCLIC, *triples(1000, 1), np.random.default_rng(0))
    assert {c.p for c in drawn} == {0.0, 1.0}
    train_preference_model(found, drawn, comparisons(CYCLIC, 100, 2), FAST)
    result = quality(found, comparisons(CYCLIC, 300, 4))
    assert result.log_loss < result.entropy + 0.1


def test_the_loss_is_the_cross_entropy_of_soft_labels() -> None:
    found = model("skew-embedding", dtype=torch.float64)
    data = comparisons(CYCLIC, 50, 5)
    (record,) = train_preference_model(
        found, data, data, Training(epochs=1, batch_size=50, learning_rate=1e-12, max_grad_norm=1e-6)
    )
    prompts, left, right, p = map(list, zip(*data, strict=True))
    q = found.probabilities(prompts, left, right)
    truth = float(np.mean([-y * math.log(x) - (1 - y) * math.log(1 - x) for x, y in zip(q, p, strict=True)]))
    # a step of learning rate 1e-12 moves nothing that shows in nine digits
    assert record.loss == pytest.approx(truth, rel=1e-9)
    assert record.held_out == pytest.approx(truth, rel=1e-9)


def same_weights(one: PreferenceModel, other: PreferenceModel) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


SHORT = Training(epochs=2, batch_size=16, learning_rate=3e-3, evaluate_every=3, patience=100)


def short_run(settings: Training = SHORT, **options: Any) -> PreferenceModel:
    found = model("skew-embedding", dropout=0.1)
    train_preference_model(found, comparisons(CYCLIC, 96, 1), comparisons(CYCLIC, 32, 2), settings, **options)
    return found


def test_training_repeats_to_the_last_bit_and_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    first = short_run()
    torch.manual_seed(99)
    second = short_run()
    assert same_weights(first, second)
    assert not same_weights(first, short_run(Training(**{**vars(SHORT), "seed": 1})))
    torch.random.set_rng_state(before)
    short_run()
    assert torch.equal(torch.random.get_rng_state(), before)


class Killed(BaseException):
    """What no code of ours catches."""


def test_a_run_broken_off_anywhere_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = short_run()

    def stop_at(step: int) -> Callable[[Any], None]:
        def report(record: Any) -> None:
            if record.step >= step:
                raise Killed

        return report

    for step in (3, 9):
        with pytest.raises(Killed):
            short_run(folder=tmp_path, progress=stop_at(step))
    assert same_weights(short_run(folder=tmp_path), whole)
    # a finished run is taken up as finished
    assert same_weights(short_run(folder=tmp_path), whole)
    with pytest.raises(BadInput, match="belongs to another run: seed = 0 there, 1 here"):
        short_run(Training(**{**vars(SHORT), "seed": 1}), folder=tmp_path)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path: Path) -> None:
    whole = short_run(folder=tmp_path)
    *_, before, last = sorted((tmp_path / "checkpoints").iterdir())
    tensors = last / "tensors.safetensors"
    spoilt = bytearray(tensors.read_bytes())
    spoilt[-1] ^= 1
    tensors.write_bytes(spoilt)
    with pytest.warns(RuntimeWarning, match="does not agree with its checksum; the checkpoint before it is used"):
        assert same_weights(short_run(folder=tmp_path), whole)
    assert before.exists()


def test_ctrl_c_ends_the_step_and_saves_it(tmp_path: Path) -> None:
    """Between two looks: the losses since the last one go on as well."""
    settings = Training(**{**vars(SHORT), "evaluate_every": 4})
    whole_folder, folder = tmp_path / "whole", tmp_path / "interrupted"
    whole = short_run(settings, folder=whole_folder)
    step = torch.optim.AdamW.step
    taken: list[int] = []

    def press(optimiser: torch.optim.AdamW, *arguments: Any) -> Any:
        taken.append(1)
        if len(taken) == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return step(optimiser, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", press)
        with pytest.raises(KeyboardInterrupt):
            short_run(settings, folder=folder)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000004", "step-00000006"]
    assert same_weights(short_run(settings, folder=folder), whole)
    ours, theirs = (
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]
        for path in (folder / "metrics.jsonl", whole_folder / "metrics.jsonl")
    )
    assert ours == theirs


def test_a_run_is_not_taken_up_by_another_model(tmp_path: Path) -> None:
    data = comparisons(CYCLIC, 16, 1)
    few = Training(epochs=1, batch_size=8, learning_rate=1e-2)
    other_words = word_tokenizer(*ANSWERS, *FILLERS[::-1], "First answer: Second Answer: a")
    larger = config()
    larger.vocab_size = len(other_words)

    def run(
        folder: Path, seed: int = 1, source: PretrainedConfig = larger, tokenizer: Any = TOKENIZER, **o: Any
    ) -> None:
        found = BradleyTerry(load_encoder(source, tokenizer, seed=1, **{"max_prompt": 9, **o}), seed=seed)
        train_preference_model(found, data, data, few, folder=folder)

    dropped = config(dropout=0.1)
    dropped.vocab_size = len(other_words)
    run(tmp_path)
    others: list[dict[str, Any]] = [
        {"seed": 2}, {"source": dropped}, {"tokenizer": other_words}, {"max_prompt": 1}, {"max_answer": 1},
        {"mixed_precision": True},
    ]  # fmt: skip
    for other in others:
        with pytest.raises(BadInput, match="belongs to another run: "):
            run(tmp_path, **other)
    run(tmp_path)  # the canary: the same model goes on


def test_a_killed_process_leaves_a_state_to_go_on_from(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from bridge.test_fitting import short_run
        def report(record):
            if record.step >= 6:
                os.kill(os.getpid(), signal.SIGKILL)
        short_run(folder=Path(sys.argv[1]), progress=report)
    """)
    places = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=os.environ | {"PYTHONPATH": places}, check=False
    )
    assert result.returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
    assert same_weights(short_run(folder=tmp_path), short_run())


def test_the_best_held_out_weights_are_kept_and_training_stops_early() -> None:
    found = model("skew-embedding")
    # labels that are pure noise: the held-out loss can only rise
    rng = np.random.default_rng(0)
    noisy = [c._replace(p=float(rng.integers(2))) for c in comparisons(CYCLIC, 64, 1)]
    held_out = comparisons(OneOrder(lambda x, y, z: np.full(len(x), 0.5)), 64, 2)
    settings = Training(epochs=50, batch_size=16, learning_rate=3e-3, evaluate_every=4, patience=3)
    history = train_preference_model(found, noisy, held_out, settings)
    losses = [record.held_out for record in history]
    assert history[-1].step < history[-1].steps
    assert len(losses) == losses.index(min(losses)) + 1 + 3
    assert quality(found, held_out).log_loss == pytest.approx(min(losses), rel=1e-5)
    assert history[0].step == 4
    assert all(a.seconds < b.seconds for a, b in itertools.pairwise(history))


def test_a_loss_that_is_not_finite_stops_with_the_best_weights(tmp_path: Path) -> None:
    found = model("bradley-terry")
    start = copy.deepcopy(found)
    with torch.no_grad():
        next(iter(found.encoder.parameters())).fill_(math.nan)
    with pytest.raises(Diverged, match=r"step 1: the loss is nan .*, must be finite; lower learning_rate"):
        train_preference_model(found, comparisons(CYCLIC, 8, 1), comparisons(CYCLIC, 8, 2), folder=tmp_path)
    assert not (tmp_path / "checkpoints").exists()  # weights that give no numbers are not kept
    assert torch.equal(found.head.weight, start.head.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"learning_rate": 0.0}, "learning_rate = 0"),
        ({"learning_rate": math.nan}, "learning_rate = nan"),
        ({"warmup": 2.0}, "warmup must be a share"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Training(**change)


def test_wrong_data_is_refused() -> None:
    found, good = model("bradley-terry"), comparisons(CYCLIC, 4, 1)
    for useless in ([], [Comparison("x", "a", "a", 1.0)]):
        with pytest.raises(BadInput, match="training is empty"):
            train_preference_model(found, useless, good)
    with pytest.raises(BadInput, match=r"held_out\[0\]\.p = 2\.0, must be a probability"):
        train_preference_model(found, good, [good[0]._replace(p=2.0)])
    with pytest.raises(BadInput, match="rank = 1, must be a whole number, at least 2"):
        SkewEmbedding(encoder(), rank=1)


@EACH_MODEL
def test_lists_of_different_lengths_are_refused(kind: str) -> None:
    found = model(kind)
    for left, right in ((["a", "b"], ["b"]), ([], ["b"]), (["a"], ["b", "c"])):
        for ask in (found.probabilities, found.judge()):
            with pytest.raises(BadInput, match=f"1 prompts, {len(left)} left and {len(right)} right answers, must be"):
                ask(["x"], left, right)
    with pytest.raises(BadInput, match="0 prompts, 1 left and 1 right answers"):
        found.probabilities([], ["a"], ["b"])
    assert found.probabilities([], [], []).shape == (0,)


def test_the_learning_rate_warms_up_and_decays() -> None:
    settings = Training(learning_rate=1.0, warmup=0.25)
    rates = [settings.rate(step, 16) for step in range(16)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    np.testing.assert_allclose(np.diff(rates[4:]), -1 / 12)
    assert rates[-1] > 0


def test_calibration_finds_the_temperature_that_was_put_in(on_cycle: dict[str, PreferenceModel]) -> None:
    found = copy.deepcopy(on_cycle["skew-embedding"])
    data = comparisons(CYCLIC, 200, 6)
    temperature = calibrate(found, data)
    before = quality(found, data)
    with torch.no_grad():
        found.form.mul_(5)  # five times as sure
    overconfident = quality(found, data)
    assert overconfident.calibration_error > before.calibration_error + 0.02
    assert calibrate(found, data) == pytest.approx(5 * temperature, rel=1e-4)
    after = quality(found, data)
    assert after.log_loss == pytest.approx(before.log_loss, rel=1e-5)
    assert after.accuracy == overconfident.accuracy
