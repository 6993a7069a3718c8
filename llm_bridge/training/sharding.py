r"""FSDP: gradients, the optimiser's state and the trained weights sharded over processes.

    accelerate launch --num_processes 4 --use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP \
        --fsdp_cpu_ram_efficient_loading false SCRIPT

Sampling, measuring and saving use the given policy, whole in every process; training uses a second copy, sharded by
``fully_shard``.  After each step the whole policy takes the sharded weights, so decoding needs no communication:
processes whose completions end at different tokens cannot wait for each other.

Memory per process, for W bytes of weights, n processes and AdamW: W (the policy) + W (the reference; nothing with
adapters) + 4 W/n, instead of 5 W; plus one whole layer of the sharded copy at a time (with precision "bf16" its rounded
weights from forward to backward pass).  Remembered weights (EMA, INPO's π_t, EGPO's trial step) are whole.  Prompts are
read once per completion, so that every process makes the same calls of every layer.

The settings are Accelerate's: ``FSDP_VERSION`` 2, ``FSDP_AUTO_WRAP_POLICY`` (one shard per layer, or NO_WRAP),
``FSDP_TRANSFORMER_CLS_TO_WRAP`` (by default the model's own layers), ``FSDP_RESHARD_AFTER_FORWARD``.  Checkpoints are
whole for any ``FSDP_STATE_DICT_TYPE``, so another number of processes may resume them.  Other settings are refused by
name, and so is Adafactor, whose sums over rows and columns torch cannot shard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_bridge.policy import Policy
from nashlab.game import BadInput, suggestion

__all__ = ["Layout", "Shards", "like", "unsynchronised", "whole"]

POLICIES = ("NO_WRAP", "TRANSFORMER_BASED_WRAP")

UNSUPPORTED = {
    "FSDP_OFFLOAD_PARAMS": "the optimiser runs where the model does",
    "FSDP_ACTIVATION_CHECKPOINTING": "load_policy(gradient_checkpointing=True) does it",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "every process needs the weights, for its reference and to sample",
}
"""Switches that must be off, and why."""


@dataclass(frozen=True)
class Layout:
    """The sharding requested by Accelerate's environment.

    layers   class names of the modules that become shards; None: the model's own layers; (): the model is one shard.
    reshard  whether a layer's weights are freed between its forward and its backward pass.
    """

    layers: tuple[str, ...] | None = None
    reshard: bool = True

    @classmethod
    def asked_for(cls, environment: Mapping[str, str] = os.environ) -> Layout | None:
        """The layout, or None if FSDP is not requested; unsupported settings are refused by name.

        >>> Layout.asked_for({}) is None
        True
        >>> Layout.asked_for({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})
        Layout(layers=(), reshard=True)
        """
        if not _is_on(environment.get("ACCELERATE_USE_FSDP", "false")):
            return None
        version = environment.get("FSDP_VERSION", "1")
        if version != "2":
            raise BadInput(f"FSDP_VERSION = {version}, must be 2 (accelerate launch --fsdp_version 2)")
        for name, why in UNSUPPORTED.items():
            if _is_on(environment.get(name, "false")):
                raise BadInput(f"{name} = {environment[name]}, must be false: {why}")
        if environment.get("FSDP_IGNORED_MODULES"):
            raise BadInput(f"FSDP_IGNORED_MODULES = {environment['FSDP_IGNORED_MODULES']}, must not be set")
        policy = environment.get("FSDP_AUTO_WRAP_POLICY", POLICIES[0]).upper()
        if policy not in POLICIES:
            # each process calls a head or an embedding a different number of times, so neither may be a shard
            known = " or ".join(POLICIES)
            raise BadInput(f"FSDP_AUTO_WRAP_POLICY = {policy!r}, must be {known}{suggestion(policy, POLICIES)}")
        named = environment.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
        chosen = tuple(name.strip() for name in named.split(",") if name.strip()) or None
        reshard = _is_on(environment.get("FSDP_RESHARD_AFTER_FORWARD", "true"))
        return cls(chosen if policy == POLICIES[1] else (), reshard)


class Shards:
    """The trained copy of a policy, and its connection to the whole one.

    policy   the copy: its forward passes must go through :meth:`wrapped`'s module.
    weights  its trainable weights in the policy's order, sharded once it is wrapped.
    """

    def __init__(self, whole: Policy, layout: Layout) -> None:
        self.policy = whole.copied()
        self._layers, self._reshard = _layers(self.policy.model, layout.layers), layout.reshard
        self._whole = [p for p in whole.model.parameters() if p.requires_grad]

    @property
    def weights(self) -> list[nn.Parameter]:
        return [p for p in self.policy.model.parameters() if p.requires_grad]

    def wrapped(self, module: nn.Module, device: torch.device, processes: int) -> nn.Module:
        """The module around the copy, sharded in place: each layer separately, the rest with the module."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # takes more than a second, which few runs need

        mesh = init_device_mesh(device.type, (processes,))
        for layer in self._layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=self._reshard)
        # the backward pass calls the head again, chunk by chunk, so its weights must stay
        fully_shard(module, mesh=mesh, reshard_after_forward=False)
        return module

    def gather(self) -> None:
        """Copy the weights of the shards into the whole policy."""
        with torch.no_grad():
            for p, shard in zip(self._whole, self.weights, strict=True):
                p.copy_(whole(shard))

    def scatter(self) -> None:
        """Copy the weights of the whole policy into the shards."""
        with torch.no_grad():
            for p, shard in zip(self._whole, self.weights, strict=True):
                shard.copy_(like(shard, p.detach()))


@contextmanager
def unsynchronised(module: nn.Module) -> Iterator[None]:
    """Inside the block, backward passes add to gradients that are not yet reduced over processes."""
    sharded: Any = module
    sharded.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        sharded.set_requires_gradient_sync(True)


def whole(value: Tensor) -> Tensor:
    """A sharded tensor assembled in every process; other tensors are returned unchanged."""
    gather: Callable[[], Tensor] | None = getattr(value, "full_tensor", None)
    return value if gather is None else gather()


def like(shard: Any, value: Tensor) -> Tensor:
    """``value``, which every process has, sharded like ``shard``; unchanged if shapes differ or ``shard`` is whole."""
    mesh = getattr(shard, "device_mesh", None)
    if mesh is None or value.shape != shard.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(shard.device), mesh, shard.placements, src_data_rank=None)


def _layers(model: nn.Module, names: tuple[str, ...] | None) -> list[nn.Module]:
    """The modules of these classes, or the model's own layers."""
    if names == ():
        return []
    chosen = set(names or getattr(model, "_no_split_modules", None) or ())
    found = [module for module in model.modules() if type(module).__name__ in chosen]
    known = {type(module).__name__ for module in found}
    if not found or (names is not None and known != chosen):
        missing = sorted(chosen - known)
        of_class = f" of class {', '.join(missing)}" if missing else " that is declared as one"
        raise BadInput(f"FSDP_TRANSFORMER_CLS_TO_WRAP: the model has no layer{of_class}; must be its layers' class")
    return found


def _is_on(word: str) -> bool:
    return word.lower() in ("1", "true", "yes", "y", "on", "t")
