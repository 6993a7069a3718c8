"""Preference models: antisymmetric, blind to padding and company, right on cycles, repeatable to the last bit."""

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.words import word_tokenizer
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BartConfig,
    BertConfig,
    DeepseekV3Config,
    GPT2Config,
    LlamaConfig,
    OPTConfig,
    PretrainedConfig,
    RobertaConfig,
    T5Config,
)

from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, OneOrder, annotated, judged, matrix
from llm_bridge.policy import LoraOptions, load_policy
from llm_bridge.preferences import (
    MODELS,
    BradleyTerry,
    CrossEncoder,
    PreferenceModel,
    SkewEmbedding,
    TextEncoder,
    Training,
    calibrate,
    load_encoder,
    load_model,
    quality,
    save_model,
    train_preference_model,
)
from llm_bridge.training import Diverged
from nashlab.game import BadInput

torch.set_num_threads(1)

Texts = Sequence[str]
Array = NDArray[np.float64]

KINDS = 6
ANSWERS = [f"answer{i}" for i in range(KINDS)]
FILLERS = ["red", "green", "blue", "grey"]
TOKENIZER = word_tokenizer(*ANSWERS, *FILLERS, "First answer: Second Answer:")
FAMILIES = ("gpt2", "llama", "bert", "t5")
EACH_MODEL = pytest.mark.parametrize("kind", MODELS)
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES)


def config(family: str = "gpt2", *, dropout: float = 0.0) -> PretrainedConfig:
    """Two layers of width 32, with weights large enough that texts differ."""
    size: dict[str, Any] = {"vocab_size": len(TOKENIZER), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    match family:
        case "gpt2":
            rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
            return GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, initializer_range=0.2, **rates, **size)
        case "llama":
            return LlamaConfig(max_position_embeddings=64, initializer_range=0.2, **shape, **size)
        case "bert":
            return BertConfig(max_position_embeddings=64, initializer_range=0.2, **shape, **size)
    return T5Config(d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, initializer_factor=3.0,
                    decoder_start_token_id=0, **size)  # fmt: skip


def encoder(family: str = "gpt2", *, dtype: torch.dtype = torch.float32, **options: Any) -> TextEncoder:
    return load_encoder(config(family, **options), TOKENIZER, dtype=dtype, seed=1)


def model(kind: str, family: str = "gpt2", **options: Any) -> PreferenceModel:
    return MODELS[kind](encoder(family, **options)).eval()


# -- populations whose preferences are known -------------------------------------------------------------------------


def kind_of(texts: Texts) -> Array:
    return np.array([int(text.split()[-1][-1]) for text in texts])


def cyclic(prompts: Texts, left: Texts, right: Texts) -> Array:
    """Answer i beats the next ones around the circle: log-odds 3 sin(2π (j − i)/6)."""
    return 1 / (1 + np.exp(-3 * np.sin(2 * np.pi * (kind_of(right) - kind_of(left)) / KINDS)))


def ranked(prompts: Texts, left: Texts, right: Texts) -> Array:
    """Bradley-Terry with rewards 0, .7, 1.4, ..."""
    return 1 / (1 + np.exp(-0.7 * (kind_of(left) - kind_of(right))))


def texts(count: int, rng: np.random.Generator) -> list[str]:
    fillers, kinds = rng.choice(FILLERS, count), rng.integers(KINDS, size=count)
    return [f"{filler} {ANSWERS[k]}" for filler, k in zip(fillers, kinds, strict=True)]


def triples(count: int, seed: int) -> tuple[list[str], list[str], list[str]]:
    rng = np.random.default_rng(seed)
    return rng.choice(FILLERS, count).tolist(), texts(count, rng), texts(count, rng)


def comparisons(judge: Judge, count: int, seed: int) -> list[Comparison]:
    return judged(judge, *triples(count, seed))


CYCLIC, RANKED = OneOrder(cyclic), OneOrder(ranked)
FAST = Training(epochs=4, learning_rate=1e-3, warmup=0.3, patience=100)


def trained(kind: str, judge: Judge = CYCLIC, settings: Training = FAST, count: int = 1000) -> PreferenceModel:
    found = model(kind)
    train_preference_model(found, comparisons(judge, count, 1), comparisons(judge, 100, 2), settings)
    return found


@pytest.fixture(scope="module")
def on_cycle() -> dict[str, PreferenceModel]:
    return {kind: trained(kind) for kind in MODELS}


# -- structure -------------------------------------------------------------------------------------------------------


@EACH_MODEL
@EACH_FAMILY
def test_swapping_the_answers_negates_the_logit_to_the_last_bit(kind: str, family: str) -> None:
    found = model(kind, family)
    prompts, left, right = triples(40, 3)
    with torch.no_grad():
        forward, backward = found(prompts, left, right), found(prompts, right, left)
    assert (forward + backward == 0).all()
    assert forward.abs().max() > 1e-3
    with torch.no_grad():
        assert (found(prompts, left, left) == 0).all()
    judge = found.judge()
    assert (judge(prompts, left, right) + judge(prompts, right, left) == 1).all()
    assert quality(found, comparisons(CYCLIC, 40, 3)).order_swap_error == 0.0


@EACH_MODEL
def test_the_formula_itself_is_antisymmetric(kind: str) -> None:
    found = model(kind, dtype=torch.float64)
    prompts, left, right = triples(20, 3)
    with torch.no_grad():
        total = found.pair_logits(prompts, left, right) + found.pair_logits(prompts, right, left)
    # float64 rounding of logits of size 1
    assert total.abs().max() < 1e-12


class OneSided(CrossEncoder):
    """The canary: σ(f(x, y, y')) knows which answer came first."""

    def pair_logits(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        return self.head(self.encoder(list(zip(prompts, left, right, strict=True)))).squeeze(1)

    def logit(self, prompts: Texts, left: Texts, right: Texts) -> Tensor:
        return self.pair_logits(prompts, left, right)


def test_a_model_that_is_not_antisymmetric_is_caught() -> None:
    broken = OneSided(encoder(dtype=torch.float64)).eval()
    assert quality(broken, comparisons(CYCLIC, 40, 3)).order_swap_error > 0.05
    prompts, left, right = triples(20, 3)
    with torch.no_grad():
        total = broken.pair_logits(prompts, left, right) + broken.pair_logits(prompts, right, left)
    assert total.abs().max() > 0.1


@pytest.mark.parametrize("kind", ["skew-embedding", "bradley-terry"])
def test_candidates_cost_one_encoding_each(kind: str) -> None:
    found = model(kind)
    seen: list[tuple[str, ...]] = []
    found.encoder.register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[0]))
    candidates = [f"red {answer}" for answer in ANSWERS]
    matrix(found.judge(batch_size=4), ["red", "blue"], [candidates, candidates[:3]])
    assert sorted(seen) == sorted([("red", y) for y in candidates] + [("blue", y) for y in candidates[:3]])


def test_formulas_by_hand() -> None:
    prompts, left, right = ["red"] * 3, ["red answer0", "answer1", "answer2"], ["answer3", "blue answer4", "answer5"]
    for kind, family in (("cross-encoder", "gpt2"), ("skew-embedding", "t5"), ("bradley-terry", "llama")):
        found = model(kind, family, dtype=torch.float64)
        for x, y, z in zip(prompts, left, right, strict=True):
            with torch.no_grad():
                match found:
                    case CrossEncoder():
                        truth = found.head(found.encoder([(x, y, z)])) - found.head(found.encoder([(x, z, y)]))
                    case SkewEmbedding():
                        v, w = (found.head(found.encoder([(x, a)]))[0] for a in (y, z))
                        truth = sum(
                            v[i] * (found.form[i, j] - found.form[j, i]) * w[j] for i in range(16) for j in range(16)
                        )
                    case BradleyTerry():
                        truth = found.head(found.encoder([(x, y)])) - found.head(found.encoder([(x, z)]))
                        rewards = found.rewards([x, x], [y, z])
                        assert rewards[0] - rewards[1] == pytest.approx(float(truth), rel=1e-9)
                p = found.probabilities([x], [y], [z])[0]
            assert p == pytest.approx(1 / (1 + math.exp(-float(truth))), rel=1e-9)


@EACH_FAMILY
def test_a_text_has_the_same_vector_in_any_company(family: str) -> None:
    found = encoder(family, dtype=torch.float64).eval()
    short, long = ("red", "answer0"), ("red green blue grey " * 4, "blue " * 9 + "answer1")
    with torch.no_grad():
        alone, together = found([short])[0], found([long, short])[1]
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)
        found._pad = 5  # what stands in the padding is nobody's business
        np.testing.assert_allclose(found([long, short])[1], alone, rtol=0, atol=1e-12)


@EACH_FAMILY
def test_the_pooled_state_is_that_of_the_last_real_token(family: str) -> None:
    found = encoder(family, dtype=torch.float64).eval()
    ids = found.token_ids("red blue", "answer0")
    assert ids[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.decode(ids) == "red blue Answer: answer0 [EOS]"
    with torch.no_grad():
        states = found.body(input_ids=torch.tensor([ids])).last_hidden_state[0]
        vector = found([("red blue", "answer0")])[0]
    normed = [(s - s.mean()) / (s.var(unbiased=False) + 1e-5).sqrt() for s in states]
    np.testing.assert_allclose(vector, normed[-1], rtol=0, atol=1e-10)
    # the canary: the same comparison with the token before fails
    assert (vector - normed[-2]).abs().max() > 1e-3


def test_mixed_precision_changes_the_body_alone() -> None:
    exact, mixed = encoder().eval(), load_encoder(config(), TOKENIZER, seed=1, mixed_precision=True).eval()
    text = [("red", "answer0")]
    with torch.no_grad():
        assert mixed(text).dtype == torch.float32
        # eight bits of mantissa through two layers
        assert 1e-5 < (mixed(text) - exact(text)).abs().max() < 0.1


def test_long_parts_are_cut_each_at_its_own_end() -> None:
    found = load_encoder(config(), TOKENIZER, max_prompt=2, max_answer=1)
    cut = found.token_ids("red blue grey grey", "answer0 answer1", "answer2 answer3")
    assert TOKENIZER.decode(cut) == "red blue First answer: answer0 Second answer: answer2 [EOS]"


def position_tables() -> dict[str, PretrainedConfig]:
    """Families with 24 positions in all, and how they count them."""
    size: dict[str, Any] = {"vocab_size": len(TOKENIZER), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
    bart = {f"{part}_{what}": n for part in ("encoder", "decoder")
            for what, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 48))}  # fmt: skip
    return {
        "gpt2": GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=24, **size),
        "bert": BertConfig(max_position_embeddings=24, **shape, **size),
        "roberta": RobertaConfig(max_position_embeddings=26, **shape, **(size | {"pad_token_id": 1})),
        "opt": OPTConfig(max_position_embeddings=24, word_embed_proj_dim=16, ffn_dim=48, **shape, **size),
        "bart": BartConfig(d_model=32, max_position_embeddings=24, decoder_start_token_id=0, **bart, **size),
    }  # fmt: skip


@pytest.mark.parametrize("family", position_tables())
def test_a_text_with_more_tokens_than_positions_is_refused(family: str) -> None:
    found = load_encoder(position_tables()[family], TOKENIZER).eval()
    longest = "red " * (24 - len(found.token_ids("", "blue")))
    with torch.no_grad():
        assert found([(longest, "blue")]).shape == (1, found.width)
    with pytest.raises(
        BadInput, match=r"a text has 25 tokens, must have 24 at most.*lower max_prompt = 384 or max_answer"
    ):
        found([("red", "blue"), (longest + "red", "blue")])


@EACH_MODEL
def test_a_state_that_is_narrower_than_the_model_is_read(kind: str, tmp_path: Path) -> None:
    found = MODELS[kind](load_encoder(position_tables()["opt"], TOKENIZER)).eval()
    assert found.encoder.width == 16
    save_model(found, tmp_path)
    assert same_bits(load_model(tmp_path), found)


# -- learning --------------------------------------------------------------------------------------------------------


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
        from bridge.test_preference import short_run
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


# -- files -----------------------------------------------------------------------------------------------------------


@EACH_MODEL
@EACH_FAMILY
def test_a_saved_model_comes_back_with_the_same_preferences(kind: str, family: str, tmp_path: Path) -> None:
    found = model(kind, family)
    found.temperature.fill_(1.7)
    save_model(found, tmp_path)
    back = load_model(tmp_path)
    prompts, left, right = triples(12, 3)
    assert type(back) is type(found)
    assert back.probabilities(prompts, left, right).tolist() == found.probabilities(prompts, left, right).tolist()
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.pkl"))


DTYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])


def same_bits(one: PreferenceModel, other: PreferenceModel) -> bool:
    """Whether all parameters and buffers, those that no state_dict holds too, have the same type and values."""
    mine, its = ([*m.named_parameters(), *m.named_buffers()] for m in (one, other))
    return all(a == b and x.dtype == y.dtype and torch.equal(x, y) for (a, x), (b, y) in zip(mine, its, strict=True))


@DTYPES
@EACH_FAMILY
@pytest.mark.parametrize("cast", [False, True])
def test_a_saved_model_comes_back_to_the_last_bit(family: str, dtype: torch.dtype, cast: bool, tmp_path: Path) -> None:
    AutoModel.from_config(config(family)).save_pretrained(tmp_path / "source")
    # what was loaded in a type and what was cast to it differ: the frequencies of rotations stay exact or do not
    found = (
        BradleyTerry(load_encoder(tmp_path / "source", TOKENIZER, dtype=torch.float32 if cast else dtype))
        .to(dtype if cast else None)
        .eval()
    )
    with torch.no_grad():
        found.head.weight.add_(1e-3)  # float32 digits that half precision has not
    save_model(found, tmp_path / "model")
    back = load_model(tmp_path / "model")
    assert same_bits(back, found)
    if not cast:
        prompts, left, right = triples(6, 3)
        assert back.probabilities(prompts, left, right).tolist() == found.probabilities(prompts, left, right).tolist()
    # the canary: one bit of one weight is seen
    with torch.no_grad():
        back.head.bias.mul_(2)
    assert not same_bits(back, found)


def test_buffers_and_shared_memory_come_back(tmp_path: Path) -> None:
    mixture = DeepseekV3Config(
        vocab_size=len(TOKENIZER), hidden_size=32, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_group=1,
        topk_group=1, first_k_dense_replace=0, kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4,
        v_head_dim=8, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    found = BradleyTerry(load_encoder(mixture, TOKENIZER)).eval()
    corrections = [b for name, b in found.named_buffers() if name.endswith("e_score_correction_bias")]
    assert corrections
    for buffer in corrections:
        buffer.copy_(torch.tensor([3.0, -3.0, 2.0, -2.0]))
    first, second = (layer.input_layernorm.weight for layer in found.encoder.body.layers)
    second.data = first.data
    save_model(found, tmp_path)
    assert same_bits(load_model(tmp_path), found)


def test_adapters_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    adapted = load_policy(config(), lora=LoraOptions(rank=2, targets=("c_attn",))).model
    found = BradleyTerry(TextEncoder(adapted, TOKENIZER))
    with pytest.raises(BadInput, match=r"model\.encoder has other weights than its configuration .*c_attn"):
        save_model(found, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    merged = BradleyTerry(TextEncoder(adapted.merge_and_unload(), TOKENIZER))
    save_model(merged, tmp_path / "model")
    assert same_bits(load_model(tmp_path / "model"), merged)


def test_what_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no preference model that can be read"):
        load_model(tmp_path)
    save_model(model("bradley-terry"), tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(BadInput, match="holds no preference model that can be read"):
        load_model(tmp_path)


LIMITS: dict[str, Any] = {"max_prompt": 9, "max_answer": 9, "mixed_precision": False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "Expecting"),
        ("[]", "must have a kind, settings and an encoder's settings"),
        ({"kind": ...}, "must have a kind, settings and an encoder's settings"),
        ({"kind": 3}, "must have a kind, settings and an encoder's settings"),
        ({"kind": "skew"}, "kind = 'skew', must be one of .*did you mean 'skew-embedding'"),
        ({"settings": {}}, "must have {'rank': 16"),
        ({"settings": {"rank": 2.0}}, "rank = 2.0, must be a whole number"),
        ({"settings": {"rank": 6}}, "first differences: form, head.bias, head.weight"),
        ({"settings": {"rang": 4}}, "unexpected keyword argument 'rang'"),
        ({"encoder": {}}, "must have .*'max_prompt': 384"),
        ({"encoder": LIMITS | {"max_prompt": "9"}}, "max_prompt = '9', must be a whole"),
        ({"encoder": LIMITS | {"max_answer": -1}}, "max_answer = -1, must be a whole"),
        ({"encoder": LIMITS | {"mixed_precision": None}}, "mixed_precision = None, must be true"),
    ],
)  # fmt: skip
def test_a_damaged_description_is_refused(change: str | dict[str, Any], message: str, tmp_path: Path) -> None:
    save_model(SkewEmbedding(encoder(), rank=4), tmp_path)
    path = tmp_path / "preference.json"
    if isinstance(change, dict):
        about = json.loads(path.read_text()) | change
        change = json.dumps({name: value for name, value in about.items() if value is not ...})
    path.write_text(change)
    with pytest.raises(BadInput, match=f"holds no preference model that can be read .*{message}"):
        load_model(tmp_path)


def test_a_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    save_model(model("bradley-terry"), tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    for load in (lambda: load_model(tmp_path), lambda: load_encoder(config(), tmp_path)):
        with pytest.raises(BadInput, match=r"tokenizer of .* cannot be read"):
            load()


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tokenizer is missing"):
        load_encoder(config())
    with pytest.raises(BadInput, match="is no folder, and no hub name"):
        load_encoder("./nowhere")
    with pytest.raises(BadInput, match="cannot be read as a folder"):
        load_encoder(tmp_path)


def test_an_encoder_is_read_from_a_folder(tmp_path: Path) -> None:
    found = encoder("llama")
    found.body.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    back = load_encoder(tmp_path)
    with torch.no_grad():
        assert torch.equal(back.eval()([("red", "answer0")]), found.eval()([("red", "answer0")]))


@pytest.fixture
def foreign_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose model, configuration and tokenizer are code of its own, at a keyboard that says yes to all."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    code = f"""
        from pathlib import Path
        from transformers import BertConfig, BertModel
        Path({str(tmp_path / "ran")!r}).touch()
        class ForeignConfig(BertConfig):
            model_type = "foreign"
        class Foreign(BertModel):
            config_class = ForeignConfig
    """
    (folder / "code.py").write_text(textwrap.dedent(code))
    places = {"AutoConfig": "code.ForeignConfig", "AutoModel": "code.Foreign"}
    (folder / "config.json").write_text(json.dumps({"model_type": "foreign", "auto_map": places}))
    about = {"tokenizer_class": "Foreign", "auto_map": {"AutoTokenizer": ["code.Foreign", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda question="": "y")
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def test_no_code_of_a_folder_is_run(foreign_code: Path, tmp_path: Path) -> None:
    description = {"kind": "bradley-terry", "settings": {}, "encoder": LIMITS}
    (foreign_code / "preference.json").write_text(json.dumps(description))
    save_file({"head.weight": torch.zeros(1, 1)}, foreign_code / "weights.safetensors")
    loads: list[Callable[[], Any]] = [
        lambda: load_encoder(foreign_code, TOKENIZER),
        lambda: load_encoder(config(), foreign_code),
        lambda: load_model(foreign_code),
    ]
    for load in loads:
        with pytest.raises(BadInput):
            load()
        assert not (tmp_path / "ran").exists()
    # the canary: the code is such that transformers runs it where it may
    AutoConfig.from_pretrained(foreign_code)
    assert (tmp_path / "ran").exists()


@EACH_FAMILY
def test_a_folder_without_a_tokenizer_is_refused(family: str, tmp_path: Path) -> None:
    AutoModel.from_config(config(family)).save_pretrained(tmp_path)
    for load in (lambda: load_encoder(tmp_path), lambda: load_encoder(config(), tmp_path)):
        with pytest.raises(BadInput, match=r"tokenizer of .* (is missing|cannot be read)"):
            load()
    assert load_encoder(tmp_path, TOKENIZER).width == 32


def test_a_tokenizer_without_words_is_refused(tmp_path: Path) -> None:
    """transformers makes one of these where a family's vocabulary is missing: every text would look the same."""
    for family in ("gpt2", "bert", "t5"):
        config(family).save_pretrained(tmp_path)
        with pytest.raises(BadInput, match="tokenizer has no vocabulary"):
            load_encoder(config(), AutoTokenizer.from_pretrained(tmp_path))


def test_an_encoder_without_all_of_its_weights_is_refused(tmp_path: Path) -> None:
    encoder("bert").body.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")

    def keep(unwanted: str) -> None:
        left = {name: value for name, value in weights.items() if unwanted not in name}
        assert len(left) < len(weights)
        save_file(left, tmp_path / "model.safetensors", {"format": "pt"})

    keep("layer.1.")
    with pytest.raises(BadInput, match=r"lacks the weights \['encoder\.layer\.1\."):
        load_encoder(tmp_path, TOKENIZER)
    keep("pooler")  # which is not read: many checkpoints have none
    one, other = load_encoder(tmp_path, TOKENIZER), load_encoder(tmp_path, TOKENIZER)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("damage", ["weights", "shape", "activation"])
def test_a_damaged_encoder_is_refused(damage: str, tmp_path: Path) -> None:
    encoder().body.save_pretrained(tmp_path)
    about = json.loads((tmp_path / "config.json").read_text())
    match damage:
        case "weights":
            (tmp_path / "model.safetensors").write_bytes(b"xx")
        case "shape":
            about["n_embd"] = 16
        case "activation":
            about["activation_function"] = "none such"
    (tmp_path / "config.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match="cannot be read as a folder"):
        load_encoder(tmp_path, TOKENIZER)


# -- calibration and quality -----------------------------------------------------------------------------------------


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


def naive_quality(q: list[float], p: list[float], bins: int) -> dict[str, float]:
    """The definitions, comparison by comparison, for hard and soft labels alike."""
    sums = {"accuracy": 0.0, "log_loss": 0.0, "brier": 0.0}
    cells: dict[int, list[tuple[float, float]]] = {}
    for guess, label in zip(q, p, strict=True):
        for outcome, weight in ((1, label), (0, 1 - label)):
            chance = guess if outcome else 1 - guess
            sums["accuracy"] += weight * (1.0 if chance > 0.5 else 0.5 if chance == 0.5 else 0.0)
            sums["log_loss"] -= weight * math.log(chance) if weight else 0.0
            sums["brier"] += weight * (1 - chance) ** 2
        sure = max(guess, 1 - guess)
        right = label if guess > 0.5 else 1 - label if guess < 0.5 else 0.5
        cells.setdefault(min(int((sure - 0.5) * 2 * bins), bins - 1), []).append((sure, right))
    means = {name: value / len(q) for name, value in sums.items()}
    gaps = [abs(sum(a for a, _ in cell) - sum(b for _, b in cell)) for cell in cells.values()]
    return means | {"calibration_error": sum(gaps) / len(q)}


def table(q: dict[str, float]) -> Judge:
    return OneOrder(lambda x, y, z: [q[prompt] for prompt in x])


@pytest.mark.parametrize("hard", [True, False])
def test_quality_is_what_its_definitions_say(hard: bool) -> None:
    rng = np.random.default_rng(3)
    q = {f"x{i}": float(v) for i, v in enumerate([0.5, 0.0625, 0.96875, *rng.uniform(0.01, 0.99, 60)])}
    p = rng.random(len(q))
    labels = (rng.random(len(q)) < p).astype(float) if hard else p
    data = [Comparison(x, "a", "b", float(y)) for x, y in zip(q, labels, strict=True)]
    found = quality(table(q), data, bins=5)
    truth = naive_quality(list(q.values()), labels.tolist(), 5)
    for name, value in truth.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12), name
    assert found.entropy == pytest.approx(naive_quality(labels.tolist(), labels.tolist(), 5)["log_loss"], rel=1e-12)
    assert sum(b.count for b in found.bins) == found.count == len(q)
    assert found.cyclic_triads is None
    # which answer is called left does not matter
    swapped = quality(table(q), [Comparison(c.prompt, "b", "a", 1 - c.p) for c in data], bins=5)
    assert swapped.calibration_error == pytest.approx(found.calibration_error, rel=1e-12)
    assert swapped.accuracy == pytest.approx(found.accuracy, rel=1e-12)


def test_quality_of_the_truth_reaches_its_bounds() -> None:
    data = comparisons(CYCLIC, 100, 7)
    found = quality(CYCLIC, data)
    assert found.log_loss == pytest.approx(found.entropy, rel=1e-12)
    assert found.accuracy == pytest.approx(found.ceiling, rel=1e-12)
    # grouped by their own value, predictions are right on average in every bin
    assert found.calibration_error == pytest.approx(0, abs=1e-12)
    sure = quality(table({"x": 0.0}), [Comparison("x", "a", "b", 1.0)])
    assert sure.log_loss == pytest.approx(-math.log(1e-12))
    # a judge may answer with a list
    assert quality(lambda x, y, z: CYCLIC(x, y, z).tolist(), data) == found
    assert set(found.as_json()) >= {"accuracy", "log_loss", "brier", "calibration_error", "order_swap_error", "bins"}


def test_cycles_are_counted_among_the_answers_to_one_prompt() -> None:
    loop = OneOrder(lambda x, y, z: [0.9 if a + b in ("ab", "bc") else 0.1 for a, b in zip(y, z, strict=True)])
    data = [Comparison("x", "a", "b"), Comparison("x", "c", "b"), Comparison("y", "a", "b")]
    assert quality(loop, data).cyclic_triads == 1.0
    assert quality(table({"x": 0.9, "y": 0.9}), data).cyclic_triads == 0.0
