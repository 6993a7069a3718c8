"""What a training step costs: ours against TRL's Nash-MD and online DPO trainers at equal work, in one run.

    python tests/benchmarks/bench_step.py [--lengths 32 128] [--prompt 32] [--batch 4] [--hidden 256] [--layers 4]
    python tests/benchmarks/bench_step.py --trl FOLDER FOLDER ...  # or TRL_FOLDERS=FOLDER:FOLDER in the environment
    python tests/benchmarks/bench_step.py --hidden 576 --layers 30 --vocabulary 49152 --batch 32 --precision bf16 ...

The same random Llama, prompts and optimiser; two completions a prompt, all of full length: the end of the sequence is
excluded from sampling in both.  Judge and reward cost nothing.  A step is everything from prompts to new weights.
Times are processor time of one thread (wall time where there is a GPU), the best of ``--repeats`` steps after a first
one, ours between two of theirs.  Then where the time of our step goes.

TRL is a peer, not a requirement, and two versions of it cannot live in one process.  So each is measured in a process
of its own, together with steps of ours: those that ``pip install --no-deps --target FOLDER trl==VERSION`` has put into
folders, or the one that is installed; without any, its columns are left out.  A version without the trainer says
"none": 1.13 has one for Nash-MD, 1.16 has not.  That trainer is measured without a cache, as it runs by default, with
gradient checkpointing, and samples from the right distribution; and with one: faster, but both models write into it,
and the mixture is another policy.  ``--keep`` writes the table of notebooks/background/speed.md.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from page import Row, keep
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import LlamaConfig, PreTrainedTokenizerFast, PrinterCallback, TrainerCallback

from llm_bridge.experiment.start import device_name
from llm_bridge.judges import OneOrder
from llm_bridge.policy import Policy, Prompts, encoded, load_policy, sample
from llm_bridge.training import Generated, Settings, Trainer, bridged
from nashlab.claims import environment_of
from nashlab.files import replacing

BETA, TAU, RATE = 0.125, 0.1, 1e-6
NASH = "nash-md-pg"
Step = Callable[[], float]


def base(options: argparse.Namespace) -> Policy:
    """A random Llama and a tokenizer of its words."""
    config = LlamaConfig(vocab_size=options.vocabulary, hidden_size=options.hidden, num_hidden_layers=options.layers,
                         intermediate_size=3 * options.hidden, num_attention_heads=options.hidden // 64,
                         num_key_value_heads=options.hidden // 64, eos_token_id=1, pad_token_id=0,
                         bos_token_id=None, tie_word_embeddings=True)  # fmt: skip
    words = {f"w{i}": i for i in range(options.vocabulary)}
    raw = Tokenizer(models.WordLevel(words, unk_token="w0"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="w1", pad_token="w0", padding_side="left")
    return load_policy(config, tokenizer=tokenizer, device=options.device)


def texts(options: argparse.Namespace) -> list[str]:
    """Prompts of one length."""
    ids = torch.randint(2, options.vocabulary, (64, options.prompt), generator=torch.Generator().manual_seed(0))
    return [" ".join(f"w{i}" for i in row) for row in ids.tolist()]


def clock(options: argparse.Namespace) -> float:
    """Processor time; where there is a GPU, the time at which it has done what it was asked."""
    if options.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


# -- ours ------------------------------------------------------------------------------------------------------------


class Stopwatch:
    """Seconds by name, of functions that were wrapped."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any, **named: Any) -> Any:
            start = clock(self.options)
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[name] += clock(self.options) - start

        return measured


def ours(method: str, base: Policy, length: int, options: argparse.Namespace) -> tuple[Step, Stopwatch]:
    """A step of ours, and where its time goes."""
    watch = Stopwatch(options)
    policy = base.copied()
    reference = policy.reference()
    judge = OneOrder(lambda x, y, z: [0.75] * len(x))
    prompts: Prompts = encoded(policy, texts(options))
    full = watch.timed("generation", functools.partial(sample, min_new_tokens=length))
    source = Generated(prompts, watch.timed("judging", judge), completions=2, max_new_tokens=length, sampler=full)
    settings = Settings(steps=10_000, batch=options.batch, tau=TAU, beta=BETA, learning_rate=RATE,
                        precision=options.precision)  # fmt: skip
    trainer = Trainer(policy, bridged(method), source, settings, reference)
    reference.log_prob = watch.timed("reference", reference.log_prob)  # type: ignore[method-assign]
    trainer.scorer.forward = watch.timed("scoring", trainer.scorer.forward)
    trainer.accelerator.backward = watch.timed("backward", trainer.accelerator.backward)
    trainer.accelerator.clip_grad_norm_ = watch.timed("optimiser", trainer.accelerator.clip_grad_norm_)
    trainer.optimiser.step = watch.timed("optimiser", trainer.optimiser.step)

    def step() -> float:
        start = clock(options)
        record = trainer._one_step()
        if record["length"] != length:
            raise RuntimeError(f"completions of {record['length']} tokens, must be {length}")
        return clock(options) - start

    return step, watch


# -- TRL -------------------------------------------------------------------------------------------------------------


class Nothing(nn.Module):
    """A reward model, as TRL calls one, that gives 0."""

    base_model_prefix = "backbone"
    config = SimpleNamespace(_name_or_path="nothing")

    def backbone(self, input_ids: torch.Tensor, **_: Any) -> Any:
        return SimpleNamespace(last_hidden_state=torch.zeros(*input_ids.shape, 1, device=input_ids.device))

    def score(self, states: torch.Tensor) -> torch.Tensor:
        return states


class Timed(TrainerCallback):
    """Times the steps of TRL's loop, and makes one of ours after each."""

    def __init__(self, options: argparse.Namespace, between: Step) -> None:
        self.options, self.between, self.start = options, between, 0.0
        self.seconds: list[float] = []
        self.own: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.start = clock(self.options)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(clock(self.options) - self.start)
        self.own.append(self.between())


def trainer_of_trl(
    method: str, base: Policy, length: int, options: argparse.Namespace, cache: bool, timed: Timed
) -> Any:
    """TRL's trainer for as many steps as are timed.  Raises ImportError where it is missing."""
    from datasets import Dataset
    from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

    common: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": options.batch, "max_new_tokens": length,
        "max_length": options.prompt + length, "temperature": 1.0, "beta": TAU, "learning_rate": RATE,
        "gradient_checkpointing": False, "bf16": options.precision == "bf16", "report_to": [], "save_strategy": "no",
        "logging_steps": 10_000,
        "disable_tqdm": True, "max_steps": options.repeats + 1, "use_cpu": options.device == "cpu",
        "optim": "adamw_torch", "max_grad_norm": 1.0,
        "generation_kwargs": {"use_cache": cache, "min_new_tokens": length},
    }  # fmt: skip
    data = Dataset.from_dict({"prompt": texts(options)})
    given: dict[str, Any] = {"model": copy.deepcopy(base.model), "train_dataset": data,
                             "processing_class": base.tokenizer, "callbacks": [timed]}  # fmt: skip
    if method == NASH:
        from trl.experimental.nash_md import NashMDConfig, NashMDTrainer

        return NashMDTrainer(**given, ref_model=copy.deepcopy(base.model), reward_funcs=Nothing(),
                             args=NashMDConfig(**common, mixture_coef=[BETA]))  # fmt: skip
    kind = {"online-dpo": "sigmoid", "online-ipo": "ipo"}[method]
    free: Callable[..., list[float]] = lambda completions, **_: [0.0] * len(completions)  # noqa: E731
    return OnlineDPOTrainer(**given, reward_funcs=free, args=OnlineDPOConfig(**common, loss_type=kind))


def turns_with_trl(options: argparse.Namespace) -> dict[str, Any]:
    """TRL's version, and the best step of its trainer and of ours in turns; only the version if it has no trainer."""
    warnings.simplefilter("ignore")
    (method,), (length,), policy = options.methods, options.lengths, base(options)
    step, _ = ours(method, policy, length, options)
    step()
    found: dict[str, Any] = {"version": version("trl"), "seconds": {}, "ours": []}
    for cache in (False, True) if method == NASH else (True,):
        timed = Timed(options, step)
        try:
            trainer = trainer_of_trl(method, policy, length, options, cache, timed)
        except ImportError:
            break
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        found["seconds"]["one cache (wrong)" if method == NASH and cache else "as it runs"] = min(timed.seconds[1:])
        found["ours"].append(min(timed.own[1:]))
    return found


def theirs(method: str, length: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """:func:`turns_with_trl` for each version, in a process of its own; nothing for one that cannot be imported."""
    results = []
    for folder in options.trl or [None]:
        places = [*([folder] if folder else []), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
        kept = ("prompt", "batch", "hidden", "layers", "vocabulary", "precision", "repeats", "device")
        same = [part for name in kept for part in (f"--{name}", str(getattr(options, name)))]
        with tempfile.TemporaryDirectory() as room:
            answer = Path(room) / "turns.json"
            asked = ["--methods", method, "--lengths", str(length), "--turns", str(answer)]
            done = subprocess.run([sys.executable, __file__, *same, *asked], env=environment, capture_output=True,
                                  text=True, check=False)  # fmt: skip
            if done.returncode == 0:
                results.append(json.loads(answer.read_text(encoding="utf-8")))
            else:
                print(f"TRL of {folder or 'this environment'} is left out: {done.stderr.strip().splitlines()[-1:]}")
    return results


def compare(method: str, base: Policy, length: int, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table, and where our time goes."""
    step, watch = ours(method, base, length, options)
    step()
    watch.seconds.clear()
    own = [step() for _ in range(options.repeats)]
    parts = dict(watch.seconds) | {"rest": sum(own) - sum(watch.seconds.values())}
    tokens, line = 2 * options.batch * length, f"{method:10} {length:4} tokens"
    peers: dict[str, float | None] = {}
    for found in theirs(method, length, options):
        name = f"TRL {found['version']}"
        if not found["seconds"]:
            peers[name] = None
            line += f"  {name} has no such trainer;"
        for (way, seconds), mine in zip(found["seconds"].items(), found["ours"], strict=True):
            peers[name if way == "as it runs" else f"{name}, {way}"] = seconds
            own.append(mine)
            line += f"  {name} {way} {seconds:6.3f} s {tokens / seconds:5.0f} tokens/s, {seconds / mine:5.2f}x ours;"
    print(f"{line}  ours {min(own):6.3f} s {tokens / min(own):5.0f} tokens/s")
    shares = "  ".join(f"{name} {value / sum(parts.values()):.0%}" for name, value in parts.items())
    print(f"           {shares}", flush=True)
    return {"method": method, "length": length, "ours": min(own), "peers": peers, "parts": parts}


def shown(row: dict[str, Any], options: argparse.Namespace) -> Row:
    """A row as the page shows it: steps a second, and the share of a step that each part takes."""
    right = {name: seconds for name, seconds in row["peers"].items() if "wrong" not in name}
    whole = sum(row["parts"].values())
    shares = ", ".join(f"{name} {x / whole:.0%}" for name, x in row["parts"].items())
    what = f"{row['method']}, {2 * options.batch} completions of {row['length']} tokens"
    return {"what": what, "unit": "steps/s", "ours": 1 / row["ours"],
            "peers": {name: seconds and 1 / seconds for name, seconds in right.items()}, "work": shares}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["nash-md-pg", "online-dpo", "online-ipo"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--precision", choices=["no", "bf16"], default="no", help="of forward passes; weights: float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--keep", action="store_true", help="write the figures into the book")
    parser.add_argument("--json", help="where to write the seconds, and what device they are of")
    known = list(filter(None, os.environ.get("TRL_FOLDERS", "").split(os.pathsep)))
    parser.add_argument("--trl", nargs="+", default=known,
                        help="folders that hold one TRL each, by default those of TRL_FOLDERS")  # fmt: skip
    parser.add_argument("--turns", help="measure one method and length against the TRL that is found, into this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.turns:
        Path(options.turns).write_text(json.dumps(turns_with_trl(options)), encoding="utf-8")
        return
    policy = base(options)
    print(f"{policy.model.num_parameters() / 1e6:.1f} M weights, batch {options.batch}, prompts of {options.prompt}, "
          f"{device_name(policy.device)}, precision {options.precision}")  # fmt: skip
    rows = [compare(method, policy, length, options) for method in options.methods for length in options.lengths]
    if options.json:
        about = environment_of(("torch", "transformers"), device=device_name(policy.device), options=vars(options))
        with replacing(Path(options.json)) as part:
            part.write_text(json.dumps({"environment": about, "seconds": rows}, indent=1) + "\n", encoding="utf-8")
    if options.keep:
        how = f"{policy.model.num_parameters() / 1e6:.1f} M weights; CPU time of one thread, the best of turns"
        keep("bench_step", how, [shown(row, options) for row in rows], ("torch", "transformers"))


if __name__ == "__main__":
    main()
