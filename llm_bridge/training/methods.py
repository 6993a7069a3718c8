"""The registry's methods on a transformer: description, an objective that samples can estimate, and form."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from llm_bridge.training.forms import Direct, Extrapolation, Optimistic, Proximal, Regression, Term
from nashlab.algorithm import FIXED, SAMPLERS, AlgorithmSpec, Objective, Pairwise, Pointwise, Sampler
from nashlab.algorithms import REGISTRY, get
from nashlab.game import BadInput, suggestion
from nashlab.losses import ipo, self_play_advantage

__all__ = ["BRIDGED", "IMITATION", "Bridged", "bridged"]


@dataclass(frozen=True)
class Bridged:
    """A method on a transformer.

    spec       its description in nashlab: name, claim, samplers.
    objective  that scores its samples;  left, right  the samplers of y and y': names of
               :data:`nashlab.algorithm.SAMPLERS`, or moments that the form remembers.
    form       turns it into steps, see :mod:`llm_bridge.training.forms`.

    Raises :class:`BadInput` for a player that is neither in that table nor remembered.
    """

    spec: AlgorithmSpec
    objective: Objective
    left: str
    right: str
    form: Direct = field(default_factory=Direct)

    def __post_init__(self) -> None:
        known = (*SAMPLERS, *self.form.remembered)
        for side in (side for term in self.terms for side in (term.left, term.right)):
            if side not in known:
                raise BadInput(f"{self.spec.name}: {side!r} samples, must be one of {', '.join(known)}"
                               f"{suggestion(side, known)}")  # fmt: skip

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The expectations of the gradient."""
        return self.form.terms(self.left, self.right)

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The players that are the policy at another moment."""
        sides = (sampler_of(side) for term in self.terms for side in (term.left, term.right))
        found = {sampler.player for sampler in sides} - {"policy", *FIXED}
        return tuple(sorted(found.union(self.form.remembered)))

    @property
    def offline(self) -> bool:
        """Whether all responses come from a policy fixed in advance, so that recorded comparisons suffice."""
        return {self.left, self.right} == {"behaviour"}

    @property
    def mixes(self) -> bool:
        """Whether some response is drawn from a mixture, so that β matters."""
        return any(sampler_of(side).pull is not None for side in (self.left, self.right))

    @cached_property
    def reads_right(self) -> bool:
        """Whether a pair's weight depends on h(y'); otherwise y' need not be scored."""
        zero = torch.zeros(1)
        score, other = self.objective.weights(zero, zero + torch.nan, zero + 0.5, 1.0)
        return other is not None or bool(score.isnan().any())


def sampler_of(side: str) -> Sampler:
    """A sampler: an entry of :data:`nashlab.algorithm.SAMPLERS`, or a remembered moment."""
    return SAMPLERS.get(side, Sampler(side))


IMITATION = Bridged(
    AlgorithmSpec(
        name="sft",
        title="supervised fine-tuning",
        citation="maximum likelihood",
        claim="the conditional distribution of the examples",
        left="behaviour",
        right="behaviour",
    ),
    Pointwise(lambda h_left, h_right, p, temperature: torch.ones_like(h_left)),
    "behaviour",
    "behaviour",
)
"""Descend on −log π(y | x) of given texts."""

SAMPLED_FORMS: dict[str, Bridged] = {
    "omd": Bridged(REGISTRY["omd"], Pairwise(ipo), "previous", "previous", Regression()),
    "nash-prox": Bridged(REGISTRY["nash-prox"], Pairwise(ipo), "policy", "policy", Proximal()),
    "egpo": Bridged(REGISTRY["egpo"], Pointwise(self_play_advantage), "policy", "ahead", Extrapolation()),
    "optimistic-mmd": Bridged(
        REGISTRY["optimistic-mmd"], Pointwise(self_play_advantage), "policy", "policy", Optimistic()
    ),
}
"""For methods whose exact update needs p(y ≻ π) for every y, an objective that samples can estimate."""


def _all_bridged() -> dict[str, Bridged]:
    direct = {
        name: Bridged(spec, spec.objective, spec.left, spec.right)
        for name, spec in REGISTRY.items()
        if spec.objective is not None and spec.geometry == "plain"
    }
    return direct | SAMPLED_FORMS


BRIDGED: dict[str, Bridged] = _all_bridged()
"""Every method that has a transformer form, by its name in the registry."""


def bridged(name: str) -> Bridged:
    """The transformer form of a method, by name or alias; a method without one is refused by name.

    >>> bridged("ipo-md").left, bridged("inpo").form.name
    ('mixture', 'regression')
    """
    spec = get(name)
    if spec.name in BRIDGED:
        return BRIDGED[spec.name]
    if "+" in name:
        plain = name.partition("+")[0]
        raise BadInput(f"{name} names an optimiser, which is a setting of training here; must be {plain}")
    why = (
        "its geometry divides by probabilities of responses"
        if spec.objective is not None
        else "its update needs p(y ≻ π) for every response y"
    )
    raise BadInput(f"{spec.name} has no transformer form: {why}; available are {', '.join(BRIDGED)}")
