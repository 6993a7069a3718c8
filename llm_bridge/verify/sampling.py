"""Sampling and training from samples, compared with enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from llm_bridge.judges import OneOrder
from llm_bridge.policy import (
    Decoder,
    Policy,
    Prompts,
    Reference,
    Tokens,
    check_reference,
    mixture_log_probs,
    pad_left,
    pad_right,
    reference_of,
    sample,
)
from llm_bridge.training import (
    Generated,
    Language,
    Samples,
    Settings,
    Turn,
    Weights,
    bridged,
    expected_samples,
    restricted,
    surrogate,
    train,
)
from llm_bridge.training.sources import Tally
from llm_bridge.verify.oracle import own_log_prob, regularised_win, sequence_mixture
from llm_bridge.verify.tiny_models import (
    LANGUAGE,
    MODEL_FAMILIES,
    PROMPT,
    ROUNDING,
    Play,
    apart,
    bridge_claim,
    flat_gradient,
    play_of,
    plays_of,
    push,
    tiny,
)
from nashlab.algorithm import Pairwise
from nashlab.certificate import exploitability
from nashlab.claims import Cases, Observation
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import ipo

DIFFERENT = 1e-9  # a total variation that is no rounding: two policies, however near, as an adapter's are at first


@bridge_claim(
    "mixture",
    "the token-level mixture is the sequence-level one for one token and at β = 0, 1; otherwise it is another policy",
    tolerance=1e-12,
    because="sums of 15 float64 probabilities",
    twin="the two treated as equal at β = ½ and three tokens",
)
def mixture(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in plays_of(cases, "mixture"):
        for length, beta in ((1, 0.5), (3, 0.0), (3, 1.0), (3, 0.5)):
            language = Language(LANGUAGE.symbols, 0, length)
            prompt, completion = language.prompts(PROMPT), language.completions
            with torch.no_grad():
                steps = mixture_log_probs(play.policy, play.reference, prompt, completion, beta)
                chosen = steps.gather(2, completion.ids[..., None]).squeeze(2)
                token_level = (chosen * completion.mask).sum(1).exp()
                log_pi, log_mu = (language.log_policy(m, PROMPT) for m in (play.policy, play.reference))
                distance = 0.5 * float((token_level - sequence_mixture(log_pi, log_mu, beta).exp()).abs().sum())
            differs = length == 3 and beta == 0.5
            off = distance if twin or not differs else (0.0 if distance > DIFFERENT else 1.0)
            off = max(off, abs(float(token_level.sum()) - 1))
            content = {"model": name, "tokens": length, "β": beta, "total variation": distance}
            yield Observation(off, lambda content=content: content, witness=differs)


@bridge_claim(
    "sampler",
    "cached sampling from policy and mixture has total variation 0 to full recomputation, left-padded prompts included",
    tolerance=1e-12,
    because="float64 probabilities of three tokens",
    twin="one cache for both models",
)
def cached_sampling(cases: Cases, twin: bool) -> Iterator[Observation]:
    prompt = pad_left([[2, 1, 1], [1], [2, 2]], 0)
    for name, play in plays_of(cases, "sampler"):
        for beta in (0.0, 0.3, 1.0):
            seen: list[tuple[Tensor, Tensor]] = []
            generator = torch.Generator().manual_seed(5)
            watch: Callable[[Tensor, Tensor], None] = lambda rows, log_m: seen.append((rows, log_m))  # noqa: B023, E731
            if twin:
                completion = _shared_cache(play, prompt, beta, seen)
            else:
                completion = sample(
                    play.policy,
                    prompt,
                    max_new_tokens=4,
                    beta=beta,
                    reference=play.reference,
                    generator=generator,
                    observer=watch,
                )
            with torch.no_grad():
                whole = mixture_log_probs(play.policy, play.reference, prompt, completion, beta).exp()
            worst = max(
                float(0.5 * (log_m.exp() - whole[rows, t]).abs().sum(-1).max()) for t, (rows, log_m) in enumerate(seen)
            )
            yield Observation(worst, lambda name=name, b=beta, w=worst: {"model": name, "β": b, "total variation": w})


def _shared_cache(play: Play, prompt: Tokens, beta: float, seen: list[tuple[Tensor, Tensor]]) -> Tokens:
    """A mixture whose reference sees nothing after the prompt, as if both models wrote into one cache."""
    rows = torch.arange(len(prompt.ids))
    decoder = Decoder(play.policy, prompt, beta=0.5 if beta in (0, 1) else beta, reference=play.reference)
    generator = torch.Generator().manual_seed(5)
    words = []
    with torch.no_grad():
        for _ in range(4):
            log_m = decoder.log_probs
            seen.append((rows, log_m))
            words.append(torch.multinomial(log_m.exp(), 1, generator=generator).squeeze(1))
            decoder.parts[0][1].push(words[-1])
    ids = torch.stack(words, dim=1)
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


@bridge_claim(
    "temperature",
    "samples at temperature T scored at T are L1 for the sharpened policy",
    tolerance=1e-10,
    because=ROUNDING,
    twin="samples at T, scored at 1",
)
def temperature(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in plays_of(cases, "temperature"):
        sharp = 0.7
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        log_pi = play.own_log_policy(sharp)
        with torch.no_grad():
            log_mu = LANGUAGE.log_policy(play.reference, PROMPT, temperature=sharp)
        value = regularised_win(log_pi, log_pi.exp(), play.p, log_mu, play.tau)
        theory = -4 / play.tau * flat_gradient(value, play.policy)
        samples = expected_samples(prompt, completion, log_mu, play.p, log_pi, log_pi)
        scored = play.policy.log_prob(prompt, completion, temperature=1.0 if twin else sharp)
        off = apart(flat_gradient(surrogate(Pairwise(ipo), scored, samples, play.tau), play.policy), theory)
        yield Observation(off, lambda name=name, off=off: {"model": name, "error": off})


@bridge_claim(
    "padding",
    "what is padded does not count: any padding of prompt and completion leaves log π as it is, token for token",
    tolerance=1e-12,
    because="float64 sums of at most four terms",
    twin="padding counted as tokens",
)
def padding(cases: Cases, twin: bool) -> Iterator[Observation]:
    completions = [(1, 2, 0), (2, 0), (1, 1, 2), (0,)]
    for name, play in plays_of(cases, "padding"):
        alone = torch.stack([own_log_prob(play.policy, PROMPT, y).sum() for y in completions]).detach()
        prompt, batch = pad_left([list(PROMPT)] * 4 + [[1, 1, 1, 2, 2]], 0), pad_right([*completions, (1, 1, 1)], 0)
        if twin:
            batch = Tokens(batch.ids, torch.ones_like(batch.mask))
        with torch.no_grad():
            together = play.policy.log_prob(prompt, batch)[:4]
        off = float((together - alone).abs().max())
        yield Observation(off, lambda name=name, off=off: {"model": name, "error": off})


@bridge_claim(
    "reference",
    "the reference stays where it was when the policy moves: a frozen copy, or the same weights with adapters off",
    tolerance=1e-12,
    because="the same forward pass twice",
    twin="adapters left on (or the policy itself) as the reference",
)
def fixed_reference(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("reference")
    for family in MODEL_FAMILIES:
        for lora in (False, True):
            policy = tiny(family, lora=lora, seed=int(rng.integers(2**31)))
            reference: Any = policy if twin else reference_of(policy)
            with torch.no_grad():
                before = LANGUAGE.log_policy(reference, PROMPT)
                push(policy, 0.1, 7)
                after = LANGUAGE.log_policy(reference, PROMPT)
                moved = float((LANGUAGE.log_policy(policy, PROMPT) - before).abs().max())
            caught = _is_refused(policy, reference)
            off = max(float((after - before).abs().max()), 0.0 if moved > 1e-6 else 1.0, 1.0 if caught else 0.0)
            yield Observation(off, lambda family=family, off=off: {"model": family, "moved": off})


def _is_refused(policy: Policy, reference: Reference) -> bool:
    try:
        check_reference(policy, reference)
    except BadInput:
        return True
    return False


SAMPLED = {"online-ipo": "gpt2", "ipo-md": "llama", "nash-md-pg": "t5"}
LEVELS = {"gradient": 1e-4, "training": 1e-3}  # false-alarm rate of each test on a correct trainer


class _Misscored(Generated):
    """Samples at one temperature, scored at temperature 1."""

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        samples, tally = super().collect(turn)
        return samples._replace(log_anchor=turn.players.reference.log_prob(samples.prompt, samples.completion)), tally

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        return policy.log_prob(samples.prompt, samples.completion)


@bridge_claim(
    "sampled",
    "from samples, a step's mean gradient is the enumerated one, within a confidence region (online IPO, IPO-MD, "
    "Nash-MD-PG)",
    tolerance=0.0,
    because="what lies outside the region of Hotelling's T² over steps, at level 1e-4",
    twin="samples at temperature .8 scored at 1",
)
def sampled(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("sampled")
    for name, family in SAMPLED.items():
        yield _outside({"method": name, "model": family, **_sampled_gradient(name, play_of(family, rng), twin)})


@bridge_claim(
    "sampled.training",
    "training from samples and hard labels lowers exact exploitability, within a confidence band (online IPO, IPO-MD)",
    tolerance=0.0,
    because="what lies outside the band of Student's t over seeds, at level 1e-3",
    twin="trained on swapped labels",
)
def sampled_training(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("sampled.training")
    for name in ("online-ipo", "ipo-md"):
        yield _outside({"method": name, "model": "gpt2", **_sampled_training(name, rng, twin)})


def _outside(content: dict[str, Any]) -> Observation:
    return Observation(content["outside by"], lambda: content, witness=True)


def _table(p: Tensor) -> OneOrder:
    """A judge that returns the game's exact preferences."""
    places = {" ".join(str(i) for i in ids if i != LANGUAGE.eos_id): k for k, ids in enumerate(LANGUAGE.sequences)}
    return OneOrder(lambda x, y, z: [float(p[places[a], places[b]]) for a, b in zip(y, z, strict=True)])


def _sampled_gradient(name: str, play: Play, twin: bool, steps: int = 24) -> dict[str, float]:
    """Hotelling's T² of the trainer's gradients at fixed weights, in the four directions of largest Fisher information.

    Directions visible only in rare sequences have no spread in few samples, and are not tested.
    """
    method, beta = bridged(name), 0.3
    source = (_Misscored if twin else Generated)(
        Prompts(["x"], [list(PROMPT)]), _table(play.p), completions=4, max_new_tokens=3,
        temperature=0.8 if twin else 1.0,
    )  # fmt: skip
    with torch.no_grad():
        steps_m = mixture_log_probs(play.policy, play.reference, LANGUAGE.prompts(PROMPT), LANGUAGE.completions, beta)
        chosen = steps_m.gather(2, LANGUAGE.completions.ids[..., None]).squeeze(2)
        sides = {"mixture": (chosen * LANGUAGE.completions.mask).sum(1)}
        sides["policy"] = LANGUAGE.log_policy(play.policy, PROMPT)
    unit = method.objective.unit(play.tau)
    expected = unit * play.gradient(method.objective, sides[method.left], sides[method.right])
    log_pi = LANGUAGE.log_policy(play.policy, PROMPT)
    scores = torch.stack([flat_gradient(one, play.policy, again=True) for one in log_pi])
    directions = torch.linalg.svd((0.5 * log_pi.detach()).exp()[:, None] * scores, full_matrices=False).Vh[:4]
    found: list[Tensor] = []

    def watch(record: dict[str, Any]) -> None:
        weights = [w for w in play.policy.model.parameters() if w.requires_grad]
        flat = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).reshape(-1) for w in weights])
        found.append(directions @ flat)

    still = Settings(steps, batch=128, tau=play.tau, beta=beta, learning_rate=1e-300, optimiser="sgd",
                     max_grad_norm=float("inf"))  # fmt: skip
    train(play.policy, method, source, still, reference=play.reference, progress=watch)
    seen, d = torch.stack(found).numpy(), len(directions)
    apart = seen.mean(axis=0) - (directions @ expected).numpy()
    t2 = steps * float(apart @ np.linalg.solve(np.cov(seen.T), apart))
    statistic = t2 * (steps - d) / (d * (steps - 1))
    outside = statistic / float(stats.f.isf(LEVELS["gradient"], d, steps - d)) - 1
    return {"p-value": float(stats.f.sf(statistic, d, steps - d)), "outside by": max(0.0, outside)}


def _sampled_training(name: str, rng: np.random.Generator, twin: bool, seeds: int = 5) -> dict[str, float]:
    """A one-sided confidence bound for the decrease of exact exploitability in training from samples and hard labels.

    One game, whose best reply to the reference wins by at least .06, and one start; seeds differ in samples and labels.
    """
    before = 0.0
    while before < 0.06:
        play = play_of("gpt2", rng, tau=0.1)
        start, reference = Weights(play.policy), reference_of(play.policy)
        game = LANGUAGE.game(play.margins, LANGUAGE.log_policy(reference, PROMPT))
        before = _exploitability(play.policy, game, play.tau)
    source = Generated(Prompts(["x"], [list(PROMPT)]), _table(play.p.T if twin else play.p), completions=4,
                       max_new_tokens=3, labels="hard")  # fmt: skip
    ends = []
    for _ in range(seeds):
        start.restore()
        settings = Settings(20, batch=128, tau=play.tau, learning_rate=0.003, seed=int(rng.integers(2**31)))
        train(play.policy, bridged(name), source, settings, reference=reference)
        ends.append(_exploitability(play.policy, game, play.tau))
    band = float(stats.t.isf(LEVELS["training"], seeds - 1) * np.std(ends, ddof=1) / seeds**0.5)
    after = float(np.mean(ends))
    content = {"exploitability before": before, "after, mean": after, "after, at most": after + band}
    return content | {"outside by": max(0.0, after + band - before)}


def _exploitability(policy: Policy, game: PreferenceGame, tau: float) -> float:
    with torch.no_grad():
        log_pi = restricted(LANGUAGE.log_policy(policy, PROMPT)).numpy()
    return float(exploitability(game, log_pi, tau))
