"""What installed training frameworks compute under the names of losses: their own functions, called and compared.

    python -m nashlab.check.frameworks                       the installed frameworks, one row per loss
    python -m nashlab.check.frameworks --record FILE.json    add the rows to a record that holds other versions
    python -m nashlab.check.frameworks --page FILE.json      print a record as a page

A cell calls the framework's own function on summed log-probabilities (or, for a trainer's step, on a batch of tokens
whose log-probabilities a stand-in model returns), and compares its derivatives with those of the named loss.  No code
of a framework is copied, and nothing but the function itself is needed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from nashlab.check.conformance import conformity
from nashlab.check.stand_ins import standing_in
from nashlab.files import replacing

__all__ = ["CELLS", "WITHOUT", "Cell", "installed", "main", "page_of", "rows", "stand_in"]

TAU = 0.5
SMOOTHING = 0.1
STAND_INS = {  # what a framework imports on the way to its losses, and no loss needs
    "openrlhf": ("flash_attn", "deepspeed", "pylatexenc"),
    "llamafactory": ("torchaudio", "omegaconf"),
    "swift": ("cryptography", "einops", "oss2", "addict", "simplejson"),
}


@dataclass(frozen=True)
class Cell:
    """One loss of one framework.

    package, key  as in the package's own interface.
    target        the named loss that the key claims to be.
    call          the exact call, as text.
    build         builds the loss as a function of summed log-probabilities, or raises the framework's own error.
    """

    package: str
    key: str
    target: str
    call: str
    build: Callable[[], Callable[..., Any]]


# -- calls -----------------------------------------------------------------------------------------------------------


def _version(package: str) -> tuple[int, int]:
    major, minor, *_ = importlib.metadata.version(package).split(".")
    return int(major), int(minor)


def _imported(module: str) -> Any:
    with standing_in(*STAND_INS.get(module.split(".")[0], ())):
        return importlib.import_module(module)


def _accelerator() -> Any:
    same = {name: lambda x: x for name in ("gather", "gather_for_metrics", "unwrap_model")}
    return SimpleNamespace(device="cpu", num_processes=1, **same)


def stand_in(sums: Any, lengths: Any) -> tuple[Any, Any]:
    """What a model returns for sequences of given log-probabilities, and their token mask after a one-token prompt.

    There are two words, and every token is the second: its logits are (log(1 − p), log p).
    """
    import torch

    n, longest = len(sums), int(lengths.max())
    mask = torch.arange(longest)[None, :] < lengths[:, None]
    tokens = (sums / lengths)[:, None].expand(n, longest)
    inside = torch.where(mask, tokens, -torch.ones_like(tokens))
    logits = torch.stack([torch.log(-torch.expm1(inside)), inside], dim=-1)
    zeros = torch.zeros(n, longest, dtype=sums.dtype)
    output = SimpleNamespace(
        log_probs=torch.where(mask, tokens, zeros), logits=torch.cat([logits, logits[:, -1:]], dim=1), entropy=zeros,
        mean_logits=zeros, log_sum_sq_probs=zeros, is_top1=zeros.bool(), aux_loss=zeros.sum(),
    )  # fmt: skip
    return output, torch.cat([torch.zeros(n, 1, dtype=torch.bool), mask], dim=1)


def _trl_step(loss_type: str, **settings: Any) -> Callable[[], Callable[..., Any]]:
    """TRL's DPOTrainer._compute_loss with stand-ins for the model and the trainer's state."""

    def build() -> Callable[..., Any]:
        import torch

        trainer = _imported("trl.trainer.dpo_trainer").DPOTrainer

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 length_chosen: Any, length_rejected: Any, tau: float) -> Any:  # fmt: skip
            lengths = torch.cat([length_chosen, length_rejected])
            output, mask = stand_in(torch.cat([policy_chosen, policy_rejected]), lengths)
            state = MagicMock()
            state.configure_mock(
                accelerator=_accelerator(), aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=True,
                f_alpha_divergence_coef=0.5, loss_types=[loss_type], loss_weights=[1.0],
                beta=tau, label_smoothing=settings.get("label_smoothing", 0.0), use_weighting=False,
                args=SimpleNamespace(discopop_tau=0.05), _total_train_tokens=0, _tp_size=1,
                _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
            )  # fmt: skip
            state.f_divergence_type = settings.get("f_divergence_type", "reverse_kl")
            inputs = {
                "input_ids": torch.ones(mask.shape, dtype=torch.long), "attention_mask": torch.ones_like(mask).long(),
                "completion_mask": mask.long(), "ref_chosen_logps": reference_chosen,
                "ref_rejected_logps": reference_rejected,
            }  # fmt: skip
            return trainer._compute_loss(state, lambda **_: output, inputs, False)

        return loss

    return build


def _method(
    module: str, name: str, function: str, attributes: Mapping[str, Any], *, reference: bool = True,
    averaged: bool = False, more: Mapping[str, Any] | None = None,
) -> Callable[[], Callable[..., Any]]:  # fmt: skip
    """A method that takes log-probabilities, called with a stand-in for its trainer; β is τ."""

    def build() -> Callable[..., Any]:
        owner = getattr(_imported(module), name)

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 length_chosen: Any, length_rejected: Any, tau: float) -> Any:  # fmt: skip
            state = MagicMock()
            state.configure_mock(accelerator=_accelerator(), beta=tau, args=SimpleNamespace(discopop_tau=0.05),
                                 running=SimpleNamespace(update=lambda x: None, mean=0.0), **attributes)  # fmt: skip
            given = [policy_chosen, policy_rejected] + ([reference_chosen, reference_rejected] if reference else [])
            if averaged:
                given = [x / length for x, length in zip(given, (length_chosen, length_rejected) * 2, strict=False)]
            found = getattr(owner, function)(state, *given, **(more or {}))
            return found[0] if isinstance(found, tuple) else found

        return loss

    return build


def _trl_kto(loss_type: str) -> Callable[[], Callable[..., Any]]:
    """TRL's KTOTrainer._compute_loss on the two responses of each pair, its reference point at 0."""

    def build() -> Callable[..., Any]:
        import torch

        trainer = _imported("trl.trainer.kto_trainer").KTOTrainer

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 length_chosen: Any, length_rejected: Any, tau: float) -> Any:  # fmt: skip
            output, mask = stand_in(torch.cat([policy_chosen, policy_rejected]),
                                    torch.cat([length_chosen, length_rejected]))  # fmt: skip
            state = MagicMock()
            state.configure_mock(
                accelerator=_accelerator(), aux_loss_enabled=False, precompute_ref_logps=True, calculate_KL=False,
                loss_type=loss_type, beta=tau, desirable_weight=1.0, undesirable_weight=1.0, _total_train_tokens=0,
                _tp_size=1, _metrics={"train": defaultdict(list), "eval": defaultdict(list)},
            )  # fmt: skip
            n = len(policy_chosen)
            inputs = {
                "input_ids": torch.ones(mask.shape, dtype=torch.long), "attention_mask": torch.ones_like(mask).long(),
                "completion_mask": mask.long(), "label": torch.arange(2 * n) < n,
                "ref_logps": torch.cat([reference_chosen, reference_rejected]),
            }  # fmt: skip
            found = trainer._compute_loss(state, lambda **_: output, inputs, False)
            return 2 * found  # a mean over responses

        return loss

    return build


def _trl_online(loss_type: str) -> Callable[[], Callable[..., Any]]:
    """TRL's OnlineDPOTrainer.training_step: generation, forward passes and rewards are stand-ins."""

    def build() -> Callable[..., Any]:
        import torch

        trainer = _imported("trl.experimental.online_dpo.online_dpo_trainer").OnlineDPOTrainer

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 length_chosen: Any, length_rejected: Any, tau: float) -> Any:  # fmt: skip
            n, lengths = len(policy_chosen), torch.cat([length_chosen, length_rejected])
            own, mask = stand_in(torch.cat([policy_chosen, policy_rejected]), lengths)
            theirs, _ = stand_in(torch.cat([reference_chosen, reference_rejected]), lengths)
            completion = mask[:, 1:].long()
            left: list[Any] = []
            state = MagicMock()
            state.configure_mock(
                accelerator=_accelerator(), beta=tau, eos_token_ids=[7], eos_token_id=7, stats=defaultdict(list),
                args=SimpleNamespace(loss_type=loss_type, use_vllm=False, missing_eos_penalty=None, n_gpu=1, optim="",
                                     torch_empty_cache_steps=None, gradient_accumulation_steps=1),
            )  # fmt: skip
            state.accelerator.backward = lambda found, **_: left.append(found)
            ones = torch.ones(n, 1, dtype=torch.long)
            parts = (ones, ones, torch.ones_like(completion), completion)
            images = _version("trl") > (1, 13)  # what it generates has a fifth part from then on
            state._generate = lambda *_: (*parts, None) if images else parts
            state._forward = lambda model, *_: theirs.log_probs if model is state.ref_model else own.log_probs
            state.processing_class.eos_token_id = state._tokenizer.eos_token_id = 7
            state.processing_class.batch_decode = lambda ids, **_: ["text"] * len(ids)
            state._calculate_rewards_from_functions = lambda **_: (torch.arange(2 * n) < n).double()
            trainer.training_step(state, MagicMock(), {"prompt": ["text"] * n})
            return left[0]

        return loss

    return build


def _trl_orpo() -> Callable[..., Any]:
    trainer = _imported("trl.experimental.orpo.orpo_trainer").ORPOTrainer

    def loss(policy_chosen: Any, policy_rejected: Any, *, length_chosen: Any, length_rejected: Any, tau: float) -> Any:
        state = MagicMock()
        state.configure_mock(accelerator=_accelerator(), beta=tau)
        chosen, rejected = policy_chosen / length_chosen, policy_rejected / length_rejected
        return -chosen - trainer.odds_ratio_loss(state, chosen, rejected)[0]

    return loss


def _llamafactory(loss_type: str, *, reference: bool = True) -> Callable[[], Callable[..., Any]]:
    """LLaMA-Factory's compute_preference_loss of a trainer that was not started; averages where it averages."""

    def build() -> Callable[..., Any]:
        trainer = _imported("llamafactory.train.dpo.trainer").CustomDPOTrainer

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 length_chosen: Any, length_rejected: Any, tau: float) -> Any:  # fmt: skip
            state = trainer.__new__(trainer)
            vars(state).update(
                finetuning_args=SimpleNamespace(use_ref_model=reference), accelerator=_accelerator(), beta=tau,
                loss_type=loss_type, simpo_gamma=tau / 2, bco_gemma=0.0, label_smoothing=0.0, reference_free=False,
                f_divergence_type="reverse_kl", f_divergence_params=None,
                args=SimpleNamespace(discopop_tau=0.05),
            )  # fmt: skip
            sums = (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
            if loss_type in ("ipo", "orpo", "simpo"):
                sums = tuple(x / n for x, n in zip(sums, (length_chosen, length_rejected) * 2, strict=True))
            return state.compute_preference_loss(*sums)[0]

        return loss

    return build


def _liger(loss_type: str, **settings: Any) -> Callable[[], Callable[..., Any]]:
    def build() -> Callable[..., Any]:
        function = _imported("liger_kernel.chunked_loss.dpo_loss").LigerFusedLinearDPOFunction

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 tau: float) -> Any:  # fmt: skip
            import torch

            target = torch.zeros(2 * len(policy_chosen), 1)
            given = (policy_chosen, policy_rejected, target, reference_chosen, reference_rejected)
            found = function.preference_loss_fn(*given, beta=tau, loss_type=loss_type, **settings)
            return found[0] if isinstance(found, tuple) else found

        return loss

    return build


def _openrlhf(**settings: Any) -> Callable[[], Callable[..., Any]]:
    def build() -> Callable[..., Any]:
        module = _imported("openrlhf.models.loss")

        def loss(policy_chosen: Any, policy_rejected: Any, reference_chosen: Any, reference_rejected: Any, *,
                 tau: float) -> Any:  # fmt: skip
            return module.DPOLoss(tau, **settings)(
                policy_chosen, policy_rejected, reference_chosen, reference_rejected
            )[0]

        return loss

    return build


def _trl_cells() -> Iterator[Cell]:
    step = "DPOTrainer._compute_loss, DPOConfig(loss_type={!r}, beta=tau{})"
    smoothed = {"exo_pair", "robust"}
    targets = {
        "sigmoid": "dpo", "hinge": "slic", "ipo": "ipo", "exo_pair": "exo_pair", "nca_pair": "nca",
        "robust": "robust_dpo", "bco_pair": "bco", "sppo_hard": "sppo", "aot": "dpo", "aot_unpaired": "dpo",
        "apo_zero": "apo_zero", "apo_down": "apo_down", "discopop": "discopop", "sft": "sft",
        "sigmoid_norm": "dpo_per_token",
    }  # fmt: skip
    for key, target in targets.items():
        settings = {"label_smoothing": SMOOTHING} if key in smoothed else {}
        call = step.format(key, f", label_smoothing={SMOOTHING}" if settings else "")
        yield Cell("trl", f"DPO {key}", target, call, _trl_step(key, **settings))
    call = step.format("sigmoid", f", label_smoothing={SMOOTHING}")
    yield Cell("trl", "DPO sigmoid, label_smoothing=0.1", "cdpo", call, _trl_step("sigmoid", label_smoothing=SMOOTHING))
    for divergence, target in (("forward_kl", "dpo_forward_kl"), ("js_divergence", "dpo_js")):
        call = step.format("sigmoid", f", f_divergence_type={divergence!r}")
        build = _trl_step("sigmoid", f_divergence_type=divergence)
        yield Cell("trl", f"DPO sigmoid, {divergence}", target, call, build)
    cpo = ("trl.experimental.cpo.cpo_trainer", "CPOTrainer", "cpo_loss")
    for key, target in (("kto", "kto"), ("apo_zero_unpaired", "apo_zero")):
        call = f"KTOTrainer._compute_loss, KTOConfig(loss_type={key!r}, beta=tau), its reference point at 0"
        yield Cell("trl", f"KTO {key}", target, call, _trl_kto(key))
    for key, target in (("sigmoid", "dpo"), ("ipo", "ipo")):
        call = f"OnlineDPOTrainer.training_step, OnlineDPOConfig(loss_type={key!r}, beta=tau)"
        yield Cell("trl", f"OnlineDPO {key}", target, call, _trl_online(key))
    call = "the chosen response's likelihood a token and ORPOTrainer.odds_ratio_loss on averages, ORPOConfig(beta=tau)"
    yield Cell("trl", "ORPO", "orpo", call, _trl_orpo)
    for key, target, alpha, averaged in (("sigmoid", "dpo", 0.0, False), ("hinge", "slic", 0.0, False),
                                         ("ipo", "ipo", 0.0, True), ("simpo", "simpo", 0.0, True),
                                         ("simpo", "alphapo", 0.25, True)):  # fmt: skip
        attributes = {"loss_type": key, "alpha": alpha, "label_smoothing": 0.0, "simpo_gamma": TAU / 2}
        given = "averages over tokens" if averaged else "sums"
        call = (
            f"CPOTrainer.cpo_loss on {given}, CPOConfig(loss_type={key!r}, beta=tau, simpo_gamma=tau/2, alpha={alpha})"
        )
        yield Cell("trl", f"CPO {key}" + (", alpha=0.25" if alpha else ""), target, call,
                   _method(*cpo, attributes, reference=False, averaged=averaged))  # fmt: skip


def _swift_cells() -> Iterator[Cell]:
    where = ("swift.rlhf_trainers.dpo_trainer", "DPOTrainer", "dpo_loss")
    targets = {"sigmoid": "dpo", "hinge": "slic", "ipo": "ipo", "exo_pair": "exo_pair", "nca_pair": "nca",
               "robust": "robust_dpo", "bco_pair": "bco", "sppo_hard": "sppo", "apo_zero": "apo_zero",
               "apo_down": "apo_down", "discopop": "discopop"}  # fmt: skip
    plain = {"label_smoothing": 0.0, "reference_free": False, "f_divergence_type": "reverse_kl"}
    for key, target in targets.items():
        smoothing = SMOOTHING if key in ("exo_pair", "robust") else 0.0
        averaged = key == "ipo"  # by _get_ipo_sequence_logps, before it
        call = f"DPOTrainer.dpo_loss(loss_type={key!r}), beta=tau, label_smoothing={smoothing}"
        yield Cell("ms-swift", f"DPO {key}", target, call + (" on averages over tokens" if averaged else ""),
                   _method(*where, plain | {"label_smoothing": smoothing}, averaged=averaged,
                           more={"loss_type": key}))  # fmt: skip
    for divergence, target in (("forward_kl", "dpo_forward_kl"), ("js_divergence", "dpo_js")):
        call = f"DPOTrainer.dpo_loss(loss_type='sigmoid'), f_divergence_type={divergence!r}, beta=tau"
        yield Cell("ms-swift", f"DPO sigmoid, {divergence}", target, call,
                   _method(*where, plain | {"f_divergence_type": divergence}))  # fmt: skip
    for key, target in (("hinge", "slic"), ("ipo", "ipo")):
        call = f"DPOTrainer.dpo_loss() of a trainer with loss_type={key!r}: so MegatronDPOTrainer.loss_func calls it"
        yield Cell("ms-swift", f"Megatron DPO {key}", target, call, _method(*where, plain | {"loss_type": key}))


def _other_cells() -> Iterator[Cell]:
    for key, target in (("sigmoid", "dpo"), ("hinge", "slic"), ("ipo", "ipo"), ("exo_pair", "exo_pair"),
                        ("nca_pair", "nca"), ("robust", "robust_dpo"), ("bco_pair", "bco"), ("sppo_hard", "sppo"),
                        ("apo_zero", "apo_zero"), ("apo_down", "apo_down"), ("discopop", "discopop")):  # fmt: skip
        settings = {"label_smoothing": SMOOTHING} if key in ("exo_pair", "robust") else {}
        call = f"LigerFusedLinearDPOFunction.preference_loss_fn(..., beta=tau, loss_type={key!r})"
        yield Cell("liger-kernel", f"DPO {key}", target, call, _liger(key, **settings))
    yield Cell("openrlhf", "DPOLoss", "dpo", "DPOLoss(tau)", _openrlhf())
    yield Cell("openrlhf", "DPOLoss, ipo", "ipo", "DPOLoss(tau, ipo=True)", _openrlhf(ipo=True))
    call = f"DPOLoss(tau, label_smoothing={SMOOTHING})"
    yield Cell("openrlhf", "DPOLoss, label_smoothing", "cdpo", call, _openrlhf(label_smoothing=SMOOTHING))
    for key, target in (("sigmoid", "dpo"), ("hinge", "slic"), ("ipo", "ipo"), ("simpo", "simpo"), ("orpo", "orpo")):
        reference = key not in ("simpo", "orpo")
        call = f"CustomDPOTrainer.compute_preference_loss, pref_loss={key!r}, pref_beta=tau"
        yield Cell("llamafactory", f"DPO {key}", target, call, _llamafactory(key, reference=reference))


CELLS: tuple[Cell, ...] = (*_trl_cells(), *_swift_cells(), *_other_cells())
WITHOUT = {
    "nemo-rl": "the package of this name on the index holds no code of the framework",
    "verl": "it has no pairwise loss: its preference data goes through rewards",
}


# -- rows ------------------------------------------------------------------------------------------------------------


def installed() -> dict[str, str]:
    """The installed frameworks: package -> version."""
    found = {}
    for package in (*dict.fromkeys(cell.package for cell in CELLS), *WITHOUT):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def rows(package: str) -> list[dict[str, str]]:
    """One row for each loss of an installed framework: the finding, or why the loss could not be called."""
    return [_row(cell) for cell in CELLS if cell.package == package]


def _row(cell: Cell) -> dict[str, str]:
    about = {"loss": cell.key, "promises": cell.target, "call": cell.call}
    try:
        verdict = conformity(cell.build(), cell.target, tau=TAU)
    except Exception as error:  # any error of a framework at import or in the call
        kind = " ".join(str(error).split())[:160]
        return about | {"finding": "not called", "why": f"{type(error).__name__}: {kind}"}
    return about | ({"finding": "conforms"} if not verdict else {"finding": "deviates", "why": verdict})


def page_of(record: Mapping[str, list[dict[str, str]]]) -> str:
    """A record, "package version" -> rows, as a page in Markdown."""
    lines = [
        "# What frameworks compute under the names of losses",
        "",
        "Each row calls the framework's own function and compares its derivatives with those of the named loss (see",
        "`nashlab/check/losses`) at τ = β = 0.5, up to a constant factor. Made by",
        "`python -m nashlab.check.frameworks`; `tests/test_check_frameworks.py` finds drift where a framework is",
        "installed.",
        "",
        "Packages that a framework imports on the way and no loss needs (kernels, servers, loggers) have stand-ins if",
        "they are missing, so that a wheel unpacked on `PYTHONPATH` is enough. LLaMA-Factory was called beside TRL",
        "0.24.0 with `DISABLE_VERSION_CHECK=1`, ms-swift beside TRL 0.29.1.",
        "",
    ]
    for name, found in record.items():
        lines += [f"## {name}", ""]
        if not found:
            lines += [f"Nothing to call: {WITHOUT[name.split()[0]]}.", ""]
            continue
        lines += ["| loss | promises | finding | call |", "|---|---|---|---|"]
        for row in found:
            why = f": {row['why']}" if "why" in row else ""
            finding = f"{row['finding']}{why}".replace("|", "\\|")
            lines.append(f"| `{row['loss']}` | `{row['promises']}` | {finding} | `{row['call']}` |")
        lines.append("")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print rows, add them to a record, or write a record as a page."""
    parser = argparse.ArgumentParser(description="What installed frameworks compute under the names of losses.")
    parser.add_argument("--record", type=Path, help="a JSON record to which the rows are added")
    parser.add_argument("--page", type=Path, help="print this record as a page")
    options = parser.parse_args(arguments)
    if options.page:
        print(page_of(json.loads(options.page.read_text(encoding="utf-8"))))
        return 0
    found = {f"{package} {version}": rows(package) for package, version in installed().items()}
    if options.record:
        old = json.loads(options.record.read_text(encoding="utf-8")) if options.record.exists() else {}
        with replacing(options.record) as part:
            part.write_text(json.dumps(dict(sorted((old | found).items())), indent=1, ensure_ascii=False) + "\n")
        return 0
    for name, some in found.items():
        for row in some:
            print(f"{name}  {row['loss']}: {row['finding']} {row.get('why', '')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
