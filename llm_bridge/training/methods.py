"""The registry's methods on a transformer: description, an objective that samples can estimate, and form."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from llm_bridge.training.forms import (
    Direct,
    Extrapolation,
    Leader,
    Magnet,
    Numbers,
    Optimistic,
    Population,
    Proximal,
    Regression,
    Term,
)
from nashlab.algorithm import FIXED, SAMPLERS, AlgorithmSpec, Objective, Pairwise, Pointwise, Sampler
from nashlab.algorithms import REGISTRY, get
from nashlab.algorithms.slhf import leader_weight
from nashlab.game import BadInput, suggestion
from nashlab.losses import ipo, self_play_advantage

__all__ = ["BRIDGED", "IMITATION", "NEAREST", "Bridged", "bridged"]


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

    def weighted(self, numbers: Numbers) -> list[Term]:
        """The terms with their weights at these numbers, without those of weight 0."""
        found = [term._replace(weight=self.form.weight(term, numbers)) for term in self.terms]
        return [term for term in found if term.weight]

    def check_labels(self, labels: str) -> None:
        """Refuse draws from p for an objective that is not linear in it."""
        if labels != "soft" and not self.form.linear:
            raise BadInput(f"labels = {labels!r}, must be soft for {self.spec.name}: "
                           "it is not linear in p, so one comparison cannot stand for it")  # fmt: skip

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

    @property
    def mixes_with_reference(self) -> bool:
        """Whether that mixture is one of the policy with the reference, as in N25."""
        return any(sampler_of(side) == SAMPLERS["mixture"] for side in (self.left, self.right))

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
    "comal": Bridged(REGISTRY["comal"], Pairwise(ipo), "policy", "policy", Magnet()),
    "mnpo": Bridged(REGISTRY["mnpo"], Pointwise(self_play_advantage), "policy", "past-0", Population()),
    "slhf": Bridged(REGISTRY["slhf"], Pointwise(leader_weight), "policy", "reference", Leader()),
    "egpo": Bridged(REGISTRY["egpo"], Pointwise(self_play_advantage), "policy", "ahead", Extrapolation()),
    "optimistic-mmd": Bridged(
        REGISTRY["optimistic-mmd"], Pointwise(self_play_advantage), "policy", "policy", Optimistic()
    ),
}
"""For methods whose exact update needs p(y ≻ π) for every y, an objective that samples can estimate."""

_REGRETS = "it needs a regret for every response, and draws in proportion to it"
_EVERY = "its update needs p(y ≻ π) for every response y"
_DIVIDES = "its geometry divides by probabilities of responses"
_AVERAGE = "its claim is about the average of all its policies, which no one transformer plays"

NEAREST: dict[str, tuple[str, str]] = {
    "nash-md": (_EVERY, "ipo-md"),
    "nash-md-debiased": (_EVERY, "ipo-md"),
    "mmd": (_EVERY, "omd, whose steps at η/(1 + ητ) are this method's at η"),
    "omwu": (_EVERY, "optimistic-mmd"),
    "nash-mirror-prox": (_EVERY, "egpo"),
    "online-ipo-entropic": (_DIVIDES, "online-ipo"),
    "ipo-md-entropic": (_DIVIDES, "ipo-md"),
    "rspo-renyi": ("its divergence is no mean over samples", "rspo-forward-kl"),
    "sppo": (_AVERAGE, "omd, whose steps at tau = 0 are this method's"),
    "spo": (_AVERAGE, "omd, whose steps at tau = 0 are this method's at a constant step size"),
    "fictitious-play": ("it plays best responses, which no gradient step is", "mnpo, also against past policies"),
    "regret-matching-plus": (_REGRETS, "omd, also without regret at tau = 0"),
    "predictive-regret-matching-plus": (_REGRETS, "optimistic-mmd, also predictive"),
    "extragradient-regret-matching-plus": (_REGRETS, "egpo, also extragradient"),
    "smooth-predictive-regret-matching-plus": (_REGRETS, "optimistic-mmd, also predictive"),
}
"""For methods without a transformer form: why, and the nearest method with one."""


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
    if spec.name not in NEAREST:
        raise BadInput(f"{spec.name} has no transformer form; methods with one are {', '.join(BRIDGED)}")
    why, nearest = NEAREST[spec.name]
    raise BadInput(f"{spec.name} has no transformer form: {why}; the nearest with one is {nearest}")
