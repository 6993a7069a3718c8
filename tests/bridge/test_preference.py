"""Preference models: antisymmetric, blind to padding and company, and what is measured of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.preferring import (
    ANSWERS,
    CYCLIC,
    EACH_FAMILY,
    EACH_MODEL,
    TOKENIZER,
    Texts,
    comparisons,
    config,
    encoder,
    model,
    same_bits,
    triples,
)
from torch import Tensor
from transformers import BartConfig, BertConfig, GPT2Config, OPTConfig, PretrainedConfig, RobertaConfig

from llm_bridge.data import Comparison
from llm_bridge.judges import Judge, OneOrder, matrix
from llm_bridge.preferences import (
    MODELS,
    BradleyTerry,
    CrossEncoder,
    SkewEmbedding,
    load_encoder,
    load_model,
    quality,
    save_model,
)
from nashlab.game import BadInput

torch.set_num_threads(1)


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
