"""The layers of two models of one shape, called for a batch that holds rows of both: each row by its own weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from llm_bridge.policy.forward import Forward
from llm_bridge.policy.stream import Stream

__all__ = ["Rows", "Swap", "Unlike", "lay_out", "spoiled", "surely", "swaps"]

Function = Callable[..., Tensor]

HEAD = "head of the model"
GRADIENTS_HOOK = "make_inputs_require_grads"
ROOM = 2**29  # bytes of weights that are copied at most
PRODUCTS = (nn.Linear, Conv1D)
# what describes a file and not a computation
NO_MATTER = ("_name_or_path", "architectures", "transformers_version", "dtype", "use_cache")
ADAPTER_STATE = ("scaling", "active_adapters", "merged", "disable_adapters")

_tried: dict[tuple[type, torch.dtype, torch.device], bool] = {}  # norms, and whether they take a weight for each row


class Unlike(Exception):
    """Why two models cannot share a forward pass."""


class Rows:
    """How many rows of a batch are the first model's, and how many after them the second's."""

    def __init__(self, first: int, second: int) -> None:
        self.counts = [first, second]

    def check(self, x: Tensor, in_head: bool) -> None:
        """A layer must read one token of each row, [rows, 1, ...], and the head a state of each: else it mixes them."""
        found, rows = tuple(x.shape), sum(self.counts)
        if found != (rows, found[-1]) if in_head else found[:2] != (rows, 1):
            raise Unlike(f"a layer whose weights differ reads {found}, not a token of each of {rows} rows")


class Swap(NamedTuple):
    """A method of a module, replaced while both models decode.

    layer     holds the first model's weights that the function uses;
    products  the copies of layers, one a model, by which it multiplies.
    """

    module: nn.Module
    name: str
    function: Function
    layer: nn.Module
    products: tuple[nn.Module, ...] = ()


def swaps(first: Stream, second: Stream, rows: Rows) -> list[Swap]:
    """What to replace in the first model.  Raises :class:`Unlike` with the reason why the two cannot go together."""
    one, other = first.forward, second.forward
    for forward in (one, other):
        if not forward.caches:
            raise Unlike(f"{forward.name} has no reliable cache")
    if one.model is other.model:
        alike = bool(first.silent) == bool(second.silent)
        return [] if alike else _beside_adapters(one, rows, bool(first.silent))
    if first.silent or second.silent:
        raise Unlike("one of two models has its adapters off")
    return _beside_each_other(one, other, rows)


@contextmanager
def surely(undo: Callable[[], None]) -> Iterator[None]:
    """Undo what the block does, however it ends: once more from the start if Ctrl-C comes in the middle of it."""
    try:
        yield
    finally:
        try:
            undo()
        except BaseException:
            undo()
            raise


@contextmanager
def spoiled(replaced: Sequence[Swap]) -> Iterator[None]:
    """NaN in place of the weights that replaced methods hold, so that any other use of them shows in the logits."""
    layers = [swap.layer for swap in replaced]
    saved = [dict(layer._parameters) for layer in layers]

    def restore() -> None:
        for layer, weights in zip(layers, saved, strict=True):
            layer._parameters.update(weights)

    with surely(restore):
        for layer in layers:
            for name, weight in layer._parameters.items():
                if weight is not None and weight.is_floating_point():
                    nan: Any = torch.full((), torch.nan, dtype=weight.dtype, device=weight.device)
                    layer._parameters[name] = nan.expand(weight.shape)
        yield


def lay_out(replaced: Sequence[Swap]) -> None:
    """Hold a layer's weights with one input's beside each other, which a CPU multiplies by a few rows twice as fast.

    The layers stay as they are; the copies go with the swaps.
    """
    found = [layer for swap in replaced for layer in swap.products if type(layer) is nn.Linear]
    weights = [layer.weight for layer in found]
    if sum(weight.nbytes for weight in weights) > ROOM or any(weight.device.type != "cpu" for weight in weights):
        return
    for layer, weight in zip(found, weights, strict=True):
        # by blocks, since a transposition of the whole reads memory in long strides
        turned: Any = torch.cat([block.t() for block in weight.detach().split(64)], dim=1).t()
        layer._parameters["weight"] = turned


# -- one model, with adapters and without ----------------------------------------------------------------------------


def _beside_adapters(forward: Forward, rows: Rows, first_silent: bool) -> list[Swap]:
    """The adapters' products for one model's rows, and nothing added to the other's."""

    def reads(factor: nn.Module, in_head: bool) -> Function:
        own = _own(factor)

        def read(x: Tensor) -> Tensor:
            rows.check(x, in_head)
            n = rows.counts[0]
            return own(x[n:] if first_silent else x[:n])

        return read

    def writes(factor: nn.Module) -> Function:
        own = _own(factor)

        def write(x: Tensor) -> Tensor:
            found = own(x)
            n = rows.counts[0] if first_silent else 0, 0 if first_silent else rows.counts[1]
            return functional.pad(found, (0, 0) * (found.ndim - 1) + n)

        return write

    found: list[Swap] = []
    for name, layer in _modules(forward):
        _check_untouched(name, layer)
        if not hasattr(layer, "_disable_adapters") or layer.disable_adapters:
            continue
        factors = _factors(layer)
        for first, second in factors:
            in_head = name.startswith(HEAD)
            found += [Swap(first, "forward", reads(first, in_head), first)]
            found += [Swap(second, "forward", writes(second), second)]
    return found


def _factors(layer: Any) -> list[tuple[nn.Module, nn.Module]]:
    """The two factors of each active low-rank adapter of a layer that uses them as x ↦ Wx + c B A x."""
    name = type(layer).__name__
    if not hasattr(layer, "lora_A") or layer.merged or layer.lora_variant or layer.lora_embedding_A:
        raise Unlike(f"the adapters of {name} are not low-rank products of their own")
    pairs = [(layer.lora_A[key], layer.lora_B[key]) for key in layer.active_adapters if key in layer.lora_A]
    if any(type(factor) is not nn.Linear for pair in pairs for factor in pair):
        raise Unlike(f"the adapters of {name} are not products")
    return pairs


# -- two models ------------------------------------------------------------------------------------------------------


def _beside_each_other(one: Forward, other: Forward, rows: Rows) -> list[Swap]:
    """A product for each model's rows wherever weights differ."""
    _check_configurations(one, other)
    ours, theirs = _modules(one), _modules(other)
    found: list[Swap] = []
    covered: set[nn.Module] = set()
    if len(ours) != len(theirs):
        raise Unlike(f"they have {len(ours)} and {len(theirs)} layers")
    for (name, a), (_, b) in zip(ours, theirs, strict=True):
        _check_kinds(name, a, b)
        if _has_position_bias(a) and not _shared(a.relative_attention_bias, b.relative_attention_bias):
            found.append(_biases(a, b, rows))
            covered.add(found[-1].layer)
        elif a not in covered and not _shared(a, b):
            found.append(_each(name, a, b, rows))
    return found


def _check_configurations(one: Forward, other: Forward) -> None:
    """Shapes, constants and the way of attention must be the same."""
    both = [forward.base.config for forward in (one, other)]
    told = [{name: x for name, x in config.to_dict().items() if name not in NO_MATTER} for config in both]
    if type(both[0]) is not type(both[1]):
        raise Unlike(f"a {type(both[0]).__name__} and a {type(both[1]).__name__}")
    different = sorted(name for name in told[0] | told[1] if told[0].get(name) != told[1].get(name))
    if different or len({getattr(config, "_attn_implementation", None) for config in both}) > 1:
        raise Unlike(f"their configurations differ in {', '.join(different) or 'the way of attention'}")
    if one.dtype != other.dtype or one.device != other.device:
        raise Unlike(f"weights in {one.dtype} on {one.device} and in {other.dtype} on {other.device}")


def _check_untouched(name: str, module: Any) -> None:
    """No call of somebody else's stands around a layer, which would be missed or meet both models' rows."""
    # the hook with which PEFT lets gradients pass the embedding changes nothing here
    hooks = [hook for hook in module._forward_hooks.values() if getattr(hook, "__name__", "") != GRADIENTS_HOOK]
    if hooks or module._forward_pre_hooks or {"forward", "compute_bias"} & vars(module).keys():
        raise Unlike(f"{name} has hooks")


def _check_kinds(name: str, a: Any, b: Any) -> None:
    """The same kind of layer, with nothing around it."""
    if type(a) is not type(b):
        raise Unlike(f"{name} is a {type(a).__name__} and a {type(b).__name__}")
    _check_untouched(name, a)
    _check_untouched(name, b)
    if hasattr(a, "_disable_adapters"):
        if hasattr(a, "lora_A"):
            _factors(a)
        if any(getattr(a, key, None) != getattr(b, key, None) for key in ADAPTER_STATE):
            raise Unlike(f"the adapters of {name} are in different states")


def _shared(a: nn.Module, b: nn.Module) -> bool:
    """Whether the modules' own weights are the same tensors.  Raises :class:`Unlike` for other constants or shapes."""
    name = type(a).__name__
    constants = [list(module.buffers(recurse=False)) for module in (a, b)]
    if len(constants[0]) != len(constants[1]) or not all(map(torch.equal, *constants)):
        raise Unlike(f"{name} has other constants")
    ours, theirs = _tensors(a._parameters), _tensors(b._parameters)
    if [x.shape for x in ours] != [y.shape for y in theirs]:
        raise Unlike(f"{name} has other shapes")
    return all(x is y for x, y in zip(ours, theirs, strict=True))


def _each(name: str, a: nn.Module, b: nn.Module, rows: Rows) -> Swap:
    """The layer that gives each row the product with its own model's weights."""
    plain = all(type(weight) is nn.Parameter for weight in _tensors(a._parameters) + _tensors(b._parameters))
    is_norm = type(a).__name__.endswith("Norm")
    if not plain or not (type(a) in PRODUCTS or isinstance(a, nn.Embedding) or is_norm):
        raise Unlike(f"{name}, a {type(a).__name__}, is not known to read its rows one by one")
    in_head, twins, calls = name.startswith(HEAD), (_twin(a), _twin(b)), type(a).forward

    def forward(x: Tensor) -> Tensor:
        rows.check(x, in_head)
        return torch.cat([calls(twin, part) for twin, part in zip(twins, x.split(rows.counts), strict=True)])

    scaled = _scaled(a, b, rows) if is_norm and not in_head else None
    return Swap(a, "forward", scaled or forward, a, () if scaled else twins)


def _scaled(a: Any, b: Any, rows: Rows) -> Function | None:
    """A norm whose weight only multiplies, once for all rows with each row's own; None for any other."""
    if [*a._parameters] != ["weight"] or not _multiplies(a, b):
        return None
    whole, weights, made_for = _twin(a), torch.stack([a.weight.detach(), b.weight.detach()]), [0, 0, 0]
    calls, held = type(a).forward, cast("dict[str, Any]", whole._parameters)

    def forward(x: Tensor) -> Tensor:
        rows.check(x, in_head=False)
        wanted = [*rows.counts, x.ndim]
        if made_for != wanted:
            made_for[:] = wanted
            each = weights.repeat_interleave(torch.tensor(rows.counts, device=x.device), dim=0)
            held["weight"] = each.view(len(each), *[1] * (x.ndim - 2), -1)
        found: Tensor = calls(whole, x)
        return found

    return forward


def _multiplies(a: Any, b: Any) -> bool:
    """Whether a norm takes a weight for each row: some call a routine that has one for all."""
    kind = type(a), a.weight.dtype, a.weight.device
    if kind not in _tried:
        whole, weights = _twin(a), torch.stack([a.weight.detach(), b.weight.detach()])
        cast("dict[str, Any]", whole._parameters)["weight"] = weights.unsqueeze(1)
        x = torch.linspace(-2, 2, weights.numel(), dtype=weights.dtype, device=weights.device).view(2, 1, -1)
        try:
            alone = torch.cat([type(a).forward(a, x[:1]), type(b).forward(b, x[1:])])
            _tried[kind] = torch.equal(type(a).forward(whole, x), alone)
        except RuntimeError:
            _tried[kind] = False
    return _tried[kind]


def _has_position_bias(module: Any) -> bool:
    """Whether this is T5's attention, which adds to the scores what depends on positions and not on rows."""
    return hasattr(module, "compute_bias") and hasattr(module, "relative_attention_bias")


def _biases(a: Any, b: Any, rows: Rows) -> Swap:
    """T5's bias of positions, each row's own."""
    layer, twin = a.relative_attention_bias, copy.copy(a)
    twin._modules = a._modules | {"relative_attention_bias": _twin(layer)}
    kind = type(a)

    def compute_bias(*arguments: Any, **named: Any) -> Tensor:
        found = (kind.compute_bias(module, *arguments, **named) for module in (twin, b))
        return torch.cat([bias.expand(n, -1, -1, -1) for bias, n in zip(found, rows.counts, strict=True)])

    return Swap(a, "compute_bias", compute_bias, layer)


# -- modules ---------------------------------------------------------------------------------------------------------


def _modules(forward: Forward) -> list[tuple[str, Any]]:
    """The modules that decode, by name; those of a head that is called after them begin with a mark of it."""
    found = list(forward.decoder.named_modules())
    head = forward.base.get_output_embeddings() if forward.chunked else None
    if head is None or any(module is head for _, module in found):
        return found
    return found + [(f"{HEAD}.{name}", module) for name, module in head.named_modules()]


def _own(layer: nn.Module) -> Function:
    """The layer's own method on its present weights, whatever is put in their place on the layer."""
    return functools.partial(type(layer).forward, _twin(layer))


def _twin(layer: nn.Module) -> nn.Module:
    """The same layer, whose weights may be replaced."""
    twin = object.__new__(type(layer))  # copy.copy takes ten times as long, which shows over all layers of a model
    vars(twin).update(vars(layer), _parameters=dict(layer._parameters))
    return twin


def _tensors(held: dict[str, Any]) -> list[Tensor]:
    return [tensor for tensor in held.values() if tensor is not None]
