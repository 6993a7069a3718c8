"""What the mixture costs: against plain cached generation, Hugging Face's generate, and TRL 1.13's mixture, in one run.

    python tests/benchmarks/bench_sampler.py [--lengths 32 128 256] [--batch 4] [--hidden 256] [--layers 6] [--lora]

All sample the same number of tokens after the same prompts with random Llamas of one shape, end-of-sequence excluded;
times are processor time of one thread, the best of ``--repeats`` in turns.  Prompts are as long as a post to summarise.

TRL's wrapper is measured where TRL 1.13 is installed, once a length, and without a cache: with one, its default when
gradient checkpointing is off, both of its models write into it and sample another distribution.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from transformers import GenerationConfig, LlamaConfig

from llm_bridge.models import LoraOptions, load_policy
from llm_bridge.policy import Policy, Reference, Tokens
from llm_bridge.sampler import sample

BETA = 0.125


def models(options: argparse.Namespace) -> tuple[Policy, Reference]:
    """A random Llama and its reference."""
    config = LlamaConfig(vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
                         intermediate_size=3 * options.hidden, num_attention_heads=options.hidden // 64,
                         num_key_value_heads=options.hidden // 64, eos_token_id=1, pad_token_id=0, bos_token_id=None,
                         tie_word_embeddings=True)  # fmt: skip
    policy = load_policy(config, lora=LoraOptions() if options.lora else None)
    policy.model.eval()
    return policy, policy.reference()


def generation(length: int, *, use_cache: bool = True) -> GenerationConfig:
    """Ancestral sampling, nothing cut off."""
    return GenerationConfig(do_sample=True, top_k=0, top_p=1.0, temperature=1.0, min_new_tokens=length,
                            max_new_tokens=length, eos_token_id=1, pad_token_id=0, use_cache=use_cache)  # fmt: skip


def trl_mixture(policy: Policy, reference: Reference) -> Any:
    """TRL's generator of the same mixture, or None where TRL is missing."""
    warnings.simplefilter("ignore")
    try:
        from trl.experimental.nash_md.nash_md_trainer import GeometricMixtureWrapper
    except ImportError as error:
        print(f"TRL 1.13 cannot be imported ({error}): its column is left out")
        return None
    other = reference.policy.model if reference.kind == "copy" else policy.model
    return GeometricMixtureWrapper(policy.model, other, generation(1), mixture_coef=BETA, device=policy.device)


def timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def compare(policy: Policy, reference: Reference, trl: Any, length: int, options: argparse.Namespace) -> None:
    """One row of the table."""
    ids = torch.randint(2, options.vocabulary, (options.batch, options.prompt),
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    prompt = Tokens(ids, torch.ones_like(ids, dtype=torch.bool))
    inputs = {"input_ids": ids, "attention_mask": prompt.mask.long(), "generation_config": generation(length)}
    ours: dict[str, Any] = {"max_new_tokens": length, "min_new_tokens": length}
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: sample(policy, prompt, **ours),
        "mixture": lambda: sample(policy, prompt, beta=BETA, reference=reference, **ours),
        "generate": lambda: policy.model.generate(**inputs),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(options.repeats):
        for name, way in ways.items():
            best[name] = min(best[name], timed(way))
    line = f"{length:6}  " + "  ".join(f"{name} {seconds:7.3f} s" for name, seconds in best.items())
    line += f"  mixture/plain {best['mixture'] / best['plain']:.2f}x"
    line += f"  mixture/generate {best['mixture'] / best['generate']:.2f}x"
    if trl is not None:
        inputs["generation_config"] = generation(length, use_cache=False)
        slow = timed(lambda: trl.generate(**inputs))
        line += f"  TRL {slow:7.2f} s  TRL/mixture {slow / best['mixture']:.1f}x"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lora", action="store_true", help="the reference is the policy with its adapters off")
    options = parser.parse_args()
    torch.set_num_threads(1)
    policy, reference = models(options)
    trl = trl_mixture(policy, reference)
    for length in options.lengths:
        compare(policy, reference, trl, length, options)


if __name__ == "__main__":
    main()
