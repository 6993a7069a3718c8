"""What sampling costs: plain, from the mixture, by Hugging Face's generate and by TRL 1.13's mixture, in one run.

    python tests/benchmarks/bench_sampler.py [--lengths 32 128 256] [--batch 4] [--hidden 256] [--layers 6]
    python tests/benchmarks/bench_sampler.py --source smollm2 --dtype bfloat16 --batch 64 --json RESULT.json  # on a GPU

All sample the same number of tokens after the same prompts, end-of-sequence excluded, with random Llamas of one shape
or with a model of ``--source``.  The mixture's reference is a copy of the model, or the model with its adapters off:
``--references``.  Times are processor time of one thread, or what passes until a GPU is done; the best of ``--repeats``
in turns.  Prompts are as long as a post to summarise.

On a CPU, the least that a mixture with a copy can cost is a plain sample and the other model's products and attention:
those of a plain sample are recorded and made again without anything else, those of a token with the weights of both
models in turns, laid out for few rows.

On a GPU plain sampling is also timed kernel by kernel, without :mod:`llm_bridge.policy.cuda_graphs`.  The limit is the
memory's: each token takes all weights and the keys and values so far, once, at the speed at which a copy of a large
tensor was seen to move in the same run; its share is taken of what the tokens after the first cost.

TRL's wrapper is measured where TRL 1.13 is installed, once a length, and without a cache: with one, its default when
gradient checkpointing is off, both of its models write into it and sample another distribution.  ``--keep`` writes the
table of notebooks/background/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from page import Row, keep
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GenerationConfig, LlamaConfig

from llm_bridge.experiment.start import device_name
from llm_bridge.policy import Decoder, LoraOptions, Policy, Reference, Tokens, load_policy, sample
from llm_bridge.policy.reference import REFERENCE_KINDS
from nashlab.claims import environment_of
from nashlab.files import replacing

BETA = 0.125
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu")


def models(options: argparse.Namespace, kind: str) -> tuple[Policy, Reference]:
    """The model and its reference, a copy of it or the same with its adapters off."""
    config = LlamaConfig(vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
                         intermediate_size=3 * options.hidden, num_attention_heads=options.hidden // 64,
                         num_key_value_heads=options.hidden // 64, eos_token_id=1, pad_token_id=0, bos_token_id=None,
                         tie_word_embeddings=True)  # fmt: skip
    policy = load_policy(options.source or config, lora=LoraOptions() if kind == "adapters-off" else None,
                         dtype=getattr(torch, options.dtype), device=options.device)  # fmt: skip
    policy.model.eval()
    return policy, policy.reference(kind)


def generation(policy: Policy, length: int, *, use_cache: bool = True) -> GenerationConfig:
    """Ancestral sampling, nothing cut off."""
    return GenerationConfig(do_sample=True, top_k=0, top_p=1.0, temperature=1.0, min_new_tokens=length,
                            max_new_tokens=length, eos_token_id=policy.eos_id, pad_token_id=policy.pad_id,
                            use_cache=use_cache)  # fmt: skip


def trl_mixture(policy: Policy, reference: Reference) -> Any:
    """TRL's generator of the same mixture, or None where TRL is missing."""
    warnings.simplefilter("ignore")
    try:
        from trl.experimental.nash_md.nash_md_trainer import GeometricMixtureWrapper
    except ImportError as error:
        print(f"TRL 1.13 cannot be imported ({error}): its column is left out")
        return None
    other = reference.policy.model if reference.kind == "copy" else policy.model
    return GeometricMixtureWrapper(policy.model, other, generation(policy, 1), mixture_coef=BETA, device=policy.device)


def timed(function: Callable[[], object], device: torch.device) -> float:
    """Processor time; where there is a GPU, the time until it has done what it was asked."""
    if device.type == "cpu":
        start = time.process_time()
        function()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy of 256 MiB reads and writes."""
    here = torch.zeros(2**26, device=device)
    there = torch.empty_like(here)
    return 2 * here.nbytes / min(timed(lambda: there.copy_(here), device) for _ in range(5))


def traffic(policy: Policy, rows: int, held: int) -> int:
    """Bytes that a token must read: the weights, tied ones once, and keys and values of that many tokens a row."""
    stream = policy.stream(Tokens(*(torch.full((1, 1), v, device=policy.device) for v in (2, True))))
    own = getattr(stream.cache, "self_attention_cache", stream.cache).layers
    return sum(w.nbytes for w in policy.model.parameters()) + rows * held * sum(
        layer.keys.nbytes + layer.values.nbytes for layer in own
    )


class Recorded(TorchDispatchMode):
    """The products and attentions of what runs inside."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(function).split(".")[1] in PRODUCTS:
            self.calls.append((function, args, kwargs or {}))
        return function(*args, **kwargs or {})

    def laid_out(self) -> Recorded:
        """The same products with factors in the order in which they are read."""
        twin = Recorded()
        turned = [tuple(x.contiguous() if isinstance(x, torch.Tensor) and x.ndim == 2 else x for x in args)
                  for _, args, _ in self.calls]  # fmt: skip
        twin.calls = [(call[0], args, call[2]) for call, args in zip(self.calls, turned, strict=True)]
        return twin

    def again(self) -> None:
        """Make them again."""
        with torch.no_grad():
            for function, args, kwargs in self.calls:
                function(*args, **kwargs)


def arithmetic(policy: Policy, reference: Reference, prompt: Tokens, length: int, repeats: int) -> float:
    """Seconds that the other model's products and attention add to a plain sample."""
    reading, tokens = [], []
    for model in (policy, reference.policy):
        with Recorded() as read:
            decoder = Decoder(model, prompt)
        token = Recorded()
        for i in range(length // 2 + 1):
            with token if i == length // 2 else nullcontext():
                decoder.push(prompt.ids[:, 0])
        reading.append(read)
        tokens.append(token)
    turned = [token.laid_out() for token in tokens]

    def both() -> None:
        for token in turned:
            token.again()

    least = [min(timed(call, policy.device) for _ in range(5 * repeats))
             for call in (reading[1].again, tokens[0].again, both)]  # fmt: skip
    return least[0] + (length - 1) * (least[2] - least[1])


def compare(policy: Policy, reference: Reference, trl: Any, length: int, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    device = policy.device
    ids = torch.randint(2, policy.model.config.vocab_size, (options.batch, options.prompt),
                        generator=torch.Generator().manual_seed(0)).to(device)  # fmt: skip
    prompt = Tokens(ids, torch.ones_like(ids, dtype=torch.bool))
    inputs = {"input_ids": ids, "attention_mask": prompt.mask.long(), "generation_config": generation(policy, length)}
    ours: dict[str, Any] = {"max_new_tokens": length, "min_new_tokens": length}
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: sample(policy, prompt, **ours),
        "mixture": lambda: sample(policy, prompt, beta=BETA, reference=reference, **ours),
        "generate": lambda: policy.model.generate(**inputs),
        "first token": lambda: sample(policy, prompt, max_new_tokens=1, min_new_tokens=1),
    }
    if device.type != "cpu":
        ways["kernel by kernel"] = lambda: sample(policy, prompt, captured=False, **ours)
        for way in ways.values():
            way()  # what is compiled or captured once
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(options.repeats):
        for name, way in ways.items():
            best[name] = min(best[name], timed(way, device))
    least = (length - 1) * traffic(policy, options.batch, options.prompt + length // 2) / bandwidth(device)
    row: dict[str, Any] = {"length": length, "reference": reference.kind, **best, "limit": least}
    line = f"{length:6}  {reference.kind}  " + "  ".join(f"{name} {seconds:7.3f} s" for name, seconds in best.items())
    line += f"  mixture/plain {best['mixture'] / best['plain']:.2f}x"
    line += f"  mixture/generate {best['mixture'] / best['generate']:.2f}x"
    line += f"  {options.batch * length / best['plain']:.0f} tokens/s"
    line += f"  {least / (best['plain'] - best['first token']):.0%} of the memory's limit"
    if device.type == "cpu" and reference.kind == "copy":
        row["least"] = best["plain"] + arithmetic(policy, reference, prompt, length, options.repeats)
        line += f"  mixture's limit {row['least'] / best['plain']:.2f}x"
    if trl is not None:
        inputs["generation_config"] = generation(policy, length, use_cache=False)
        row["TRL"] = timed(lambda: trl.generate(**inputs), device)
        line += f"  TRL {row['TRL']:7.2f} s  TRL/mixture {row['TRL'] / best['mixture']:.1f}x"
    print(line, flush=True)
    return row


def shown(row: dict[str, Any], options: argparse.Namespace) -> list[Row]:
    """A row as the page shows it: plain sampling, and the mixture."""
    names = ("plain", "mixture", "generate", "TRL", "least")
    rate = {name: options.batch * row["length"] / row[name] for name in names if name in row}
    adapted = row["reference"] == "adapters-off"
    what = f"{row['length']} tokens after {options.prompt}, {options.batch} rows"
    peers = {"plain": rate["plain"]} | ({"TRL 1.13's mixture, cache off": rate["TRL"]} if "TRL" in rate else {})
    limits = {"plain and the other's products alone": rate["least"]} if "least" in rate else {}
    work = f"{row['mixture'] / row['plain']:.2f} times a plain one's time"
    work += f", at least {row['least'] / row['plain']:.2f}" if "least" in row else ""
    return [
        {"what": f"plain{', with adapters' if adapted else ''}, {what}", "unit": "tokens/s", "ours": rate["plain"],
         "peers": {"transformers' generate": rate["generate"]}},
        {"what": f"mixture with {'adapters off' if adapted else 'a copy'}, {what}", "unit": "tokens/s",
         "ours": rate["mixture"], "peers": peers, "limits": limits, "work": work},
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--source", help="a folder, a hub name or smollm2, in place of a random Llama")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--references", nargs="+", choices=REFERENCE_KINDS, default=REFERENCE_KINDS)
    parser.add_argument("--keep", action="store_true", help="write the figures into the book")
    parser.add_argument("--json", help="where to write the seconds, and what device they are of")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in options.references:
        policy, reference = models(options, kind)
        trl = trl_mixture(policy, reference) if kind == options.references[0] else None
        rows += [compare(policy, reference, trl, length, options) for length in options.lengths]
    if options.json:
        about = environment_of(("torch", "transformers"), device=device_name(policy.device), options=vars(options))
        with replacing(Path(options.json)) as part:
            part.write_text(json.dumps({"environment": about, "seconds": rows}, indent=1) + "\n", encoding="utf-8")
    if options.keep:
        weights = sum(w.numel() for w in reference.policy.model.parameters() if not w.requires_grad or kind == "copy")
        how = f"{weights / 1e6:.1f} M weights, {options.dtype}; CPU time, best of turns"
        both = [found for row in rows for found in shown(row, options)]
        keep("bench_sampler", how, both, ("torch", "transformers"))


if __name__ == "__main__":
    main()
