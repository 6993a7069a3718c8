"""Training settings: numbers, optimisers, step-size schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from llm_bridge.training.methods import Bridged
from nashlab import optimiser
from nashlab.game import BadInput, check_temperature, suggestion

__all__ = ["OPTIMISERS", "SCHEDULES", "Settings", "rate", "scheduled"]

OPTIMISERS: dict[str, Callable[[list[nn.Parameter], Settings], torch.optim.Optimizer]] = {
    "sgd": lambda weights, s: torch.optim.SGD(
        weights, lr=s.learning_rate, momentum=s.beta1, weight_decay=s.weight_decay
    ),
    "adamw": lambda weights, s: torch.optim.AdamW(
        weights, lr=s.learning_rate, betas=(s.beta1, s.beta2), weight_decay=s.weight_decay
    ),
    "adafactor": lambda weights, s: torch.optim.Adafactor(
        weights, lr=s.learning_rate, beta2_decay=-0.8, weight_decay=s.weight_decay
    ),
}
"""SGD (β₁ is its momentum), AdamW, and Adafactor with decay .8 and steps relative to a weight's size."""


def _endless(at: Callable[[int], float]) -> Callable[[int, int], float]:
    return lambda step, steps: float(at(step))


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    **{name: _endless(at) for name, at in optimiser.SCHEDULES.items()},
    "linear": lambda step, steps: 1 - step / steps,
    "cosine": lambda step, steps: 0.5 * (1 + math.cos(math.pi * step / steps)),
}
"""The step size of a step, counted from 0, over the first one: the laboratory's schedules, and two with a known end."""


@dataclass(frozen=True)
class Settings:
    """Training settings of a policy.

    steps, batch     batch: prompts (or comparisons, examples) per step, over all processes.
    micro_batch      prompts in one forward and backward pass; 0: the whole share.  The result does not depend on it.
    tau, beta        temperature τ of the game; β of the mixture, or the rate of an EMA.
    step_size, refresh   η of the mirror-descent step (INPO, MNPO: the target of its regression; Nash Prox: its proximal
                         step), and training steps between two of them.
    learning_rate    multiplies the gradient in units of preference: for online IPO that is τ/4 of the loss's own (L1).
    optimiser, beta1, beta2, weight_decay   see OPTIMISERS.
    schedule, warmup  see SCHEDULES; the warm-up is linear, in steps.
    max_grad_norm    gradients are clipped to this norm; inf: never.
    precision        "no" or "bf16", for forward passes; trained weights are float32 or float64.  bfloat16 rounds log π
                     of a completion by about 0.2 nats (rms, of 64 tokens): the first step records its own figure as
                     ``rounding``.  A log-ratio has √2 times that, which should be small compared with 1/τ.
    measure_every, checkpoint_every   in steps; 0: only at the end (measuring: also at the start).
    """

    steps: int
    batch: int = 8
    micro_batch: int = 0
    tau: float = 0.1
    beta: float = 0.125
    step_size: float = 1.0
    refresh: int = 20
    learning_rate: float = 1e-4
    optimiser: str = "adamw"
    beta1: float = 0.0
    beta2: float = 0.99
    weight_decay: float = 0.0
    schedule: str = "linear"
    warmup: int = 0
    max_grad_norm: float = 1.0
    precision: str = "no"
    measure_every: int = 0
    checkpoint_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", ("no", "bf16"))):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise BadInput(f"{name} = {value!r}, must be one of {', '.join(known)}{suggestion(str(value), known)}")
        for name, least in (("steps", 1), ("batch", 1), ("refresh", 1), ("micro_batch", 0), ("warmup", 0),
                            ("measure_every", 0), ("checkpoint_every", 0), ("seed", 0)):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise BadInput(f"{name} = {value!r}, must be an integer of at least {least}")
        if self.seed >= 2**32:
            raise BadInput(f"seed = {self.seed}, must be below 2**32")
        check_temperature(self.tau, name="tau")
        for name, allowed, rule in (
            ("learning_rate", lambda v: 0 < v < math.inf, "positive and finite"),
            ("weight_decay", lambda v: 0 <= v < math.inf, "finite and at least 0"),
            ("max_grad_norm", lambda v: v > 0, "positive"),
            ("step_size", lambda v: v > 0, "positive"),
            ("beta", lambda v: 0 <= v <= 1, "between 0 and 1"),
            ("beta1", lambda v: 0 <= v < 1, "at least 0 and below 1"),
            ("beta2", lambda v: 0 <= v < 1, "at least 0 and below 1"),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not allowed(value):
                raise BadInput(f"{name} = {value!r}, must be {rule}")
        if self.optimiser == "adafactor" and self.beta1:
            raise BadInput(f"beta1 = {self.beta1}, must be 0 for adafactor, which has no momentum")

    def check_method(self, method: Bridged) -> None:
        """Refuse numbers that are invalid for this method."""
        if method.form.temperature(self) == 0 and method.objective.unit(1.0) != 1.0:
            raise BadInput(f"tau = 0, must be positive for {method.spec.name}")
        method.form.check(self, method.spec.name)


def rate(settings: Settings, step: int) -> float:
    """The learning rate of a step counted from 0; see :func:`scheduled`."""
    return scheduled(settings.learning_rate, settings.schedule, step, settings.steps, settings.warmup)


def scheduled(largest: float, schedule: str, step: int, steps: int, warmup: int) -> float:
    """The learning rate of a step, counted from 0: a linear warm-up to the largest, then the schedule over the rest.

    >>> [scheduled(1.0, "linear", step, 10, 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.125]
    """
    if step < warmup:
        return largest * (step + 1) / warmup
    return largest * SCHEDULES[schedule](step - warmup, max(1, steps - warmup))
