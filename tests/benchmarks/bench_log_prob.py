"""Peak memory and time of log π(y | x) and its gradient, chunked against the naive way, at a large vocabulary.

    python tests/benchmarks/bench_log_prob.py [--vocabulary 151936] [--tokens 1024] [--hidden 64] [--dtype float32]

The naive way is a trainer's: all logits, in float32, log-softmax, gather.  Each way runs in a process of its own on the
same random one-layer Llama; its peak is the largest resident size during forward and backward less the size before,
or what was allocated on the GPU where there is one.
Values and gradients of the two ways are compared, and the difference is printed.  ``--keep`` writes the table of
notebooks/background/speed.md.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from page import keep
from torch import Tensor
from transformers import LlamaConfig

from llm_bridge.policy import Policy, Tokens, load_policy

WAYS = ("naive", "chunked")


def naive(policy: Policy, prompt: Tokens, completion: Tokens) -> Tensor:
    """Σ log softmax(logits)[target] with the logits of all positions in float32."""
    ids = torch.cat([prompt.ids, completion.ids], dim=1)
    logits = policy.model(input_ids=ids, use_cache=False).logits.float()[:, prompt.ids.shape[1] - 1 : -1]
    return logits.log_softmax(dim=-1).gather(2, completion.ids.unsqueeze(2)).squeeze(2).sum(dim=1)


def peak(device: str) -> int:
    """The most bytes that were held so far."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def measure(way: str, options: argparse.Namespace) -> dict[str, float]:
    """One forward and backward pass in this process."""
    torch.set_num_threads(1)
    config = LlamaConfig(vocab_size=options.vocabulary, hidden_size=options.hidden, intermediate_size=options.hidden,
                         num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4, eos_token_id=1,
                         pad_token_id=0, bos_token_id=None)  # fmt: skip
    policy = load_policy(config, dtype=getattr(torch, options.dtype), device=options.device)
    generator = torch.Generator().manual_seed(0)
    prompt, completion = (
        Tokens(ids, torch.ones_like(ids, dtype=torch.bool)).to(options.device)
        for ids in (torch.randint(2, options.vocabulary, (1, n), generator=generator) for n in (8, options.tokens))
    )
    function = policy.log_prob if way == "chunked" else functools.partial(naive, policy)
    if options.device != "cpu":
        function(prompt, Tokens(*(t[:, :8] for t in completion))).sum().backward()  # kernels are loaded
        policy.model.zero_grad()
        torch.cuda.reset_peak_memory_stats()
    before, start = peak(options.device), time.perf_counter()
    value = function(prompt, completion)
    value.sum().backward()
    after, seconds = peak(options.device), time.perf_counter() - start
    slope = sum(float(p.grad.double().square().sum()) for p in policy.model.parameters() if p.grad is not None)
    return {"peak_mib": (after - before) / 2**20, "seconds": seconds, "value": float(value), "slope": slope**0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--keep", action="store_true", help="write the figures into the book")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options)))
        return
    found = {}
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"{way:8} peak {found[way]['peak_mib']:8.0f} MiB   {found[way]['seconds']:6.2f} s")
    one, other = found["naive"], found["chunked"]
    logits = options.vocabulary * options.tokens * 4 / 2**20
    print(f"float32 logits of all positions alone: {logits:.0f} MiB; gradient of the embeddings is in both peaks")
    print(f"memory {one['peak_mib'] / other['peak_mib']:.1f}x less, time {other['seconds'] / one['seconds']:.2f}x")
    for name in ("value", "slope"):
        print(f"{name}: naive {one[name]:.8g}, chunked {other[name]:.8g}")
    if options.keep:
        what = f"log-probabilities and gradient, {options.vocabulary:,} tokens of vocabulary, T = {options.tokens:,}"
        rows = [{"what": f"{what}: {name}", "unit": unit, "ours": other[key], "peers": {"all logits at once": one[key]}}
                for name, key, unit in (("peak memory", "peak_mib", "MiB"), ("time", "seconds", "s"))]  # fmt: skip
        keep("bench_log_prob", f"One pass of each, {options.dtype}", rows, ("torch", "transformers"))


if __name__ == "__main__":
    main()
