"""The titles' T5 out of its package: against another evaluator of the shipped graph, and at work."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.naive import naive_log_prob

from llm_bridge.data import load_corpus
from llm_bridge.judges import RelevanceScore
from llm_bridge.policy import (
    LoraOptions,
    Policy,
    Tokens,
    check_reference,
    completions_of,
    encoded,
    load_policy,
    pad_left,
    pad_right,
)

# -- the titles' T5 --------------------------------------------------------------------------------------------------

PROMPT = "summarize agent step: {prompt}"
NEEDS_TITLES = pytest.mark.skipif(
    find_spec("traceforge_title_model") is None, reason="the package traceforge-title-model is not installed"
)


@pytest.fixture(scope="module")
def titles() -> Policy:
    return load_policy("title-t5")


def shipped(side: str) -> Any:
    import onnx

    spec = find_spec("traceforge_title_model")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return onnx.load(Path(spec.submodule_search_locations[0]) / "data" / "span" / f"{side}.onnx")


def without_rounding(model: Any) -> Any:
    """The graph with activations left in float: DynamicQuantizeLinear is x, 1, 0, MatMulInteger a product of floats."""
    from onnx import TensorProto, helper

    nodes = []
    for node in model.graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            same, scale, zero = node.output
            nodes.append(helper.make_node("Identity", [node.input[0]], [same]))
            nodes.append(helper.make_node("Constant", [], [scale], value_float=1.0))
            nodes.append(helper.make_node("Constant", [], [zero], value_float=0.0))
        elif node.op_type == "MatMulInteger":
            x, weight, _, zero = node.input
            floats = [f"{node.output[0]}/{part}" for part in ("weight", "zero", "difference")]
            nodes.append(helper.make_node("Cast", [weight], [floats[0]], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Cast", [zero], [floats[1]], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Sub", floats[:2], [floats[2]]))
            nodes.append(helper.make_node("MatMul", [x, floats[2]], [node.output[0]]))
        else:
            nodes.append(node)
    changed = copy.deepcopy(model)
    del changed.graph.node[:]
    changed.graph.node.extend(nodes)
    changed.opset_import[0].version = 19  # the same operators; onnx's evaluator has no older DequantizeLinear
    return changed


def batch_of(policy: Policy, count: int) -> tuple[Tokens, Tokens]:
    """Descriptions and their human synopses, both padded on the right as the graph wants them."""
    examples = load_corpus("debian", "test")[:count]
    prompt = encoded(policy, [example.prompt for example in examples], template=PROMPT)
    return pad_right(prompt.rows), pad_right(completions_of(policy, [example.summary for example in examples]))


def fed(policy: Policy, prompt: Tokens, completion: Tokens) -> tuple[dict[str, np.ndarray], np.ndarray]:
    encoder = {"input_ids": prompt.ids.numpy(), "attention_mask": prompt.mask.long().numpy()}
    decoder = torch.nn.functional.pad(completion.ids[:, :-1], (1, 0), value=policy.model.config.decoder_start_token_id)
    return encoder, decoder.numpy()


def graph_logits(run: Any, encoder: Any, decoder: Any, inputs: dict[str, np.ndarray], ids: np.ndarray) -> torch.Tensor:
    (states,) = run(encoder, inputs)
    mask = inputs["attention_mask"]
    (logits,) = run(decoder, {"input_ids": ids, "encoder_hidden_states": states, "encoder_attention_mask": mask})
    return torch.from_numpy(logits)


def on_onnx(model: Any, inputs: dict[str, np.ndarray]) -> Any:
    from onnx.reference import ReferenceEvaluator

    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 in the branch of the distance that is not taken
        return ReferenceEvaluator(model).run(None, inputs)


def on_onnxruntime(model: Any, inputs: dict[str, np.ndarray]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def own_logits(policy: Policy, prompt: Tokens, completion: Tokens) -> torch.Tensor:
    left = pad_left([ids[mask].tolist() for ids, mask in zip(*prompt, strict=True)])
    with torch.no_grad():
        return policy.logits(left, completion)


@NEEDS_TITLES
@pytest.mark.parametrize("evaluator", ["onnx", "onnxruntime"])
def test_logits_are_those_of_the_shipped_graph_with_activations_in_float(titles: Policy, evaluator: str) -> None:
    pytest.importorskip(evaluator)
    prompt, completion = batch_of(titles, 2)
    assert prompt.ids.shape[1] > 128  # farther apart than the largest distance that has a bias of its own
    run = {"onnx": on_onnx, "onnxruntime": on_onnxruntime}[evaluator]
    graphs = [without_rounding(shipped(side)) for side in ("encoder", "decoder")]
    theirs = graph_logits(run, *graphs, *fed(titles, prompt, completion))

    def error(policy: Policy) -> float:
        return float((own_logits(policy, prompt, completion) - theirs)[completion.mask].abs().max())

    # float32 sums of logits up to 100 in another order; 9e-5 is found
    assert error(titles) <= 5e-4
    # the canaries: one matrix of 130 scaled by a hundredth, two of one shape exchanged
    wrong = titles.frozen_copy()
    wrong.model.decoder.block[3].layer[1].EncDecAttention.v.weight *= 1.01
    assert error(wrong) > 1e-2
    wrong = titles.frozen_copy()
    attention = wrong.model.encoder.block[2].layer[0].SelfAttention
    attention.q, attention.k = attention.k, attention.q
    assert error(wrong) > 1e-2


@NEEDS_TITLES
def test_the_shipped_graph_itself_is_as_near_as_its_rounding_of_activations_lets_it(titles: Policy) -> None:
    """It rounds each tensor of activations to 256 steps of a range that T5's few large ones stretch.

    Two of its own runs, with other texts in the batch, correlate by 0.96 only, so this check is a coarse one.
    """
    pytest.importorskip("onnxruntime")
    prompt, completion = batch_of(titles, 4)
    mask = completion.mask
    theirs = graph_logits(on_onnxruntime, shipped("encoder"), shipped("decoder"), *fed(titles, prompt, completion))

    def correlation(logits: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([logits[mask].flatten(), theirs[mask].flatten()]))[0, 1])

    def likelihood(logits: torch.Tensor) -> float:
        return float(logits.log_softmax(dim=2).gather(2, completion.ids.unsqueeze(2)).squeeze(2)[mask].mean())

    ours = own_logits(titles, prompt, completion)
    assert correlation(ours) > 0.85  # 0.90 is found
    assert likelihood(ours) > likelihood(theirs)  # rounding loses half a nat a token of what people wrote
    # the canaries: another text's logits, and a model with queries and keys of the encoder exchanged
    assert correlation(ours.roll(1, dims=0)) < 0.6
    wrong = titles.frozen_copy()
    for attention in (block.layer[0].SelfAttention for block in wrong.model.encoder.block):
        attention.q, attention.k = attention.k, attention.q
    assert correlation(own_logits(wrong, prompt, completion)) < 0.85


@NEEDS_TITLES
def test_the_head_is_untied_and_every_weight_trained(titles: Policy) -> None:
    assert titles.chunked
    assert sum(weight.numel() for weight in titles.model.parameters() if weight.requires_grad) == 76_961_152
    assert titles.model.encoder.embed_tokens.weight is titles.model.shared.weight
    assert not torch.equal(titles.model.lm_head.weight, titles.model.shared.weight)


@NEEDS_TITLES
def test_cached_sampling_has_the_distribution_of_a_full_computation(titles: Policy) -> None:
    prompt, completion = batch_of(titles, 2)
    left = pad_left([ids[mask].tolist() for ids, mask in zip(*prompt, strict=True)])
    whole = own_logits(titles, prompt, completion)
    stream, worst = titles.stream(left), 0.0
    for t in range(completion.ids.shape[1]):
        counted = completion.mask[:, t]
        worst = max(worst, float((stream.logits - whole[:, t])[counted].abs().max()))
        stream.push(completion.ids[:, t])
    # as above: float32 sums of logits up to 100
    assert worst <= 5e-4
    with torch.no_grad():
        found, truth = titles.log_prob(left, completion), naive_log_prob(titles, left, completion)
    assert float((found - truth).abs().max()) <= 5e-4


@NEEDS_TITLES
def test_adapters_sit_on_it_and_off_is_the_model_before_them(titles: Policy) -> None:
    policy = load_policy("title-t5", lora=LoraOptions(rank=2, alpha=4))
    assert policy.chunked
    prompt, completion = pad_left([[21603, 10, 350, 1]]), pad_right([[1464, 1]])
    check_reference(policy, policy.reference(), prompt, completion)
    with torch.no_grad():
        assert torch.equal(policy.reference().log_prob(prompt, completion), titles.log_prob(prompt, completion))
    policy.log_prob(prompt, completion).sum().backward()
    trained = [weight for weight in policy.model.parameters() if weight.requires_grad]
    assert any(bool(weight.grad.any()) for weight in trained if weight.grad is not None)
    assert sum(weight.numel() for weight in trained) < 2_000_000


@NEEDS_TITLES
def test_greedy_titles_speak_of_their_texts(titles: Policy) -> None:
    texts = [example.prompt for example in load_corpus("debian", "test")]
    mpi, monitor = (
        next(text for text in texts if text.startswith(start)) for start in ("MPI for Py", "This daemon mon")
    )
    prompt = encoded(titles, [mpi, monitor], template=PROMPT)
    stream, words = titles.stream(prompt.tokens(titles, [0, 1])), []
    for _ in range(12):
        words.append(stream.logits.argmax(dim=1))
        stream.push(words[-1])
    rows = [row[: row.index(1)] for row in torch.stack(words, dim=1).tolist()]  # both end within twelve tokens
    first, second = titles.tokenizer.batch_decode(rows)
    assert "MPI" in first  # "Provide MPI-based interface for picklable Python"
    assert "Python" in first
    assert "link status" in second  # "Investigate daemon's link status"


@NEEDS_TITLES
def test_the_relevance_of_the_true_synopsis_is_higher(titles: Policy) -> None:
    examples = load_corpus("debian", "test")[:6]
    texts, own = [example.prompt for example in examples], [example.summary for example in examples]
    score = RelevanceScore(titles, template=PROMPT, without="summarize agent step:")
    gain = score(texts, own) - score(texts, own[1:] + own[:1])
    assert (gain > 0).all()
