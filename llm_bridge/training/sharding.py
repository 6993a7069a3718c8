r"""FSDP: gradients, the optimiser's state and the weights that are trained shared out over processes.

    accelerate launch --num_processes 4 --use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP \
        --fsdp_cpu_ram_efficient_loading false SCRIPT

What samples, measures and is saved is the policy as it was given, whole in every process; what is trained is a second
copy, sharded by ``fully_shard``.  After each step the whole one takes over the sharded one's weights, so decoding needs
no communication: processes whose completions end at different tokens cannot wait for each other.

What each process holds, for W bytes of weights, n processes and AdamW: W (the policy) + W (the reference; nothing with
adapters) + 4 W/n, in the place of 5 W; and of the sharded copy one layer whole at a time (with precision "bf16" its
rounded weights from forward to backward pass).  Remembered weights (EMA, INPO's π_t, EGPO's step ahead) are whole.
Prompts are read once for each completion, so that every process makes the same calls of every layer.

The settings are Accelerate's: ``FSDP_VERSION`` 2, ``FSDP_AUTO_WRAP_POLICY`` (a shard for each layer, or NO_WRAP),
``FSDP_TRANSFORMER_CLS_TO_WRAP`` (by default the model's own layers), ``FSDP_RESHARD_AFTER_FORWARD``.  Checkpoints are
whole whatever ``FSDP_STATE_DICT_TYPE`` says: another number of processes may take them up.  The others are refused by
name, and so is Adafactor, whose sums over rows and columns torch does not know how to share out.
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
    """How Accelerate's environment asks for sharding.

    layers   class names of what is a shard of its own; None: the model's own layers; (): the model is one shard.
    reshard  whether a layer's weights are given up between its forward and its backward pass.
    """

    layers: tuple[str, ...] | None = None
    reshard: bool = True

    @classmethod
    def asked_for(cls, environment: Mapping[str, str] = os.environ) -> Layout | None:
        """The layout, or None where FSDP is not asked for; what is not supported is refused by name.

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
            # a head or an embedding that is a shard of its own is called a different number of times by each process
            known = " or ".join(POLICIES)
            raise BadInput(f"FSDP_AUTO_WRAP_POLICY = {policy!r}, must be {known}{suggestion(policy, POLICIES)}")
        named = environment.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
        chosen = tuple(name.strip() for name in named.split(",") if name.strip()) or None
        reshard = _is_on(environment.get("FSDP_RESHARD_AFTER_FORWARD", "true"))
        return cls(chosen if policy == POLICIES[1] else (), reshard)


class Shards:
    """The copy of a policy that is trained, and its tie to the whole one.

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
        """The module around the copy, sharded in place: layers for themselves, what is left with the module."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard  # more than a second that few runs need to spend

        mesh = init_device_mesh(device.type, (processes,))
        for layer in self._layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=self._reshard)
        # the head is called again in the backward pass, chunk by chunk: what it needs must still be there
        fully_shard(module, mesh=mesh, reshard_after_forward=False)
        return module

    def gather(self) -> None:
        """The whole policy takes over the weights of the shards."""
        with torch.no_grad():
            for p, shard in zip(self._whole, self.weights, strict=True):
                p.copy_(whole(shard))

    def scatter(self) -> None:
        """The shards take over the weights of the whole policy."""
        with torch.no_grad():
            for p, shard in zip(self._whole, self.weights, strict=True):
                shard.copy_(like(shard, p.detach()))


@contextmanager
def unsynchronised(module: nn.Module) -> Iterator[None]:
    """Backward passes inside the block add to gradients that are not yet shared out."""
    sharded: Any = module
    sharded.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        sharded.set_requires_gradient_sync(True)


def whole(value: Tensor) -> Tensor:
    """A sharded tensor put together, in every process; another one as it is."""
    gather: Callable[[], Tensor] | None = getattr(value, "full_tensor", None)
    return value if gather is None else gather()


def like(shard: Any, value: Tensor) -> Tensor:
    """``value``, which every process has, sharded as ``shard`` is; as it is where shapes differ or that is whole."""
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
        of_class = f" of class {', '.join(missing)}" if missing else " that names itself as one"
        raise BadInput(f"FSDP_TRANSFORMER_CLS_TO_WRAP: the model has no layer{of_class}; must be its layers' class")
    return found


def _is_on(word: str) -> bool:
    return word.lower() in ("1", "true", "yes", "y", "on", "t")
