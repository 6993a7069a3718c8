"""State that is switched while a model computes, and restored afterwards: random state, training mode, adapters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from this seed inside the block; the global state is unchanged, on every device."""
    if not torch.accelerator.is_available():  # torch.manual_seed would queue a call, with its traceback, per absent one
        before = torch.default_generator.get_state()
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            torch.default_generator.set_state(before)
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def adapter_layers(model: nn.Module) -> list[nn.Module]:
    """The layers into which PEFT has put adapters, or trained copies."""
    return [module for module in model.modules() if hasattr(module, "_disable_adapters")]


def adapters_are_fresh(model: nn.Module) -> bool:
    """Whether there are adapters and all are low-rank ones whose second factor is still 0, so that they add nothing."""
    layers = adapter_layers(model)
    return bool(layers) and all(_adds_nothing(layer) for layer in layers)


def _adds_nothing(layer: nn.Module) -> bool:
    second = [getattr(layer, name, None) for name in ("lora_B", "lora_embedding_B")]
    if all(part is None for part in second) or any(getattr(layer, "use_dora", {}).values()):
        return False
    return not any(bool(value.any()) for part in second if part is not None for value in part.parameters())


def adapters_off(layers: Iterable[nn.Module]) -> AbstractContextManager[None]:
    """Adapters off inside the block.  PEFT's own switch also flips requires_grad, and walks the model each time."""
    return flags(layers, "_disable_adapters", True)


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """Evaluation mode inside the block, and each module's own training flag after it."""
    return flags(model.modules(), "training", False)


@contextmanager
def flags(modules: Iterable[nn.Module], name: str, value: bool) -> Iterator[None]:
    """A boolean attribute set on modules inside the block, and restored after it."""
    changed = [module for module in modules if getattr(module, name) is not value]
    for module in changed:
        vars(module)[name] = value  # a module's setattr looks for parameters first, which is too slow for every token
    try:
        yield
    finally:
        for module in changed:
            vars(module)[name] = not value
