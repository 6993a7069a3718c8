"""``llm-bridge verify``: the transformer's code path against the theory, where a language can be listed.

Tiny GPT-2, Llama and T5 models in float64 over all sequences of two symbols of length at most three.  What the trainer
computes (:func:`surrogate` on :meth:`Policy.log_prob`) is held against the theory's formula on the model's own
logits, a sequence at a time, without padding, cache or chunks: the two sides share nothing but the weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from llm_bridge.enumerable import Language, expected_samples, restricted
from llm_bridge.judges import OneOrder
from llm_bridge.models import LoraOptions, load_policy
from llm_bridge.objective import BRIDGED, Samples, bridged, surrogate
from llm_bridge.policy import Policy, Reference, Tokens, check_reference, pad_left, pad_right, reference_of
from llm_bridge.rollout import Generated, Prompts, Tally, Turn, Weights
from llm_bridge.sampler import Decoder, mixture_log_probs, sample
from llm_bridge.trainer import Settings, train
from nashlab.algorithm import Objective, Pairwise, Pointwise
from nashlab.certificate import certify, exploitability
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import random_game
from nashlab.game import BadInput, PreferenceGame
from nashlab.losses import ipo, self_play_advantage
from nashlab.verify.claim import Cases, Check, Observation, Skipped, claim

__all__ = ["CHECKS", "LANGUAGE", "tiny"]

CHECKS: dict[str, Check] = {}
FAMILIES = ("gpt2", "llama", "t5")
LANGUAGE = Language((1, 2), 0, 3)
PROMPT = (2, 1)
ROUNDING = "float64 sums over 15 sequences and all their pairs; relative to the largest entry of the gradient"

bridge_claim = functools.partial(claim, registry=CHECKS)


def tiny(family: str, symbols: int = 2, *, lora: bool = False, seed: int = 0) -> Policy:
    """A random two-layer float64 model, far from uniform: its vocabulary is end-of-sequence (0) and 1, 2, ..."""
    from transformers import GPT2Config, LlamaConfig, T5Config

    tokens: dict[str, Any] = {"vocab_size": symbols + 1, "eos_token_id": 0, "pad_token_id": 0, "bos_token_id": None}
    seq2seq: dict[str, Any] = tokens | {"decoder_start_token_id": 0}
    config = {
        "gpt2": lambda: GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **tokens),
        "llama": lambda: LlamaConfig(
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            **tokens,
        ),
        "t5": lambda: T5Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, **seq2seq),
    }[family]()
    options = LoraOptions(rank=2, alpha=4) if lora else None
    policy = load_policy(config, dtype=torch.float64, seed=seed, lora=options)
    _push(policy, 0.3, seed + 1)
    return policy


def _push(policy: Policy, size: float, seed: int) -> None:
    """Move every trainable weight by a random step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.requires_grad:
                parameter.add_(size * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))


class Play(NamedTuple):
    """A policy that has moved away from its reference, in a random game over the language, and its exact vectors."""

    policy: Policy
    reference: Reference
    p: Tensor
    tau: float
    margins: NDArray[np.float64]

    @property
    def log_mu(self) -> Tensor:
        """log μ of every sequence, as data."""
        with torch.no_grad():
            return LANGUAGE.log_policy(self.reference, PROMPT)

    def gradient(self, objective: Objective, log_left: Tensor, log_right: Tensor) -> Tensor:
        """What the trainer descends: the surrogate's gradient on all weighted pairs."""
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        samples = expected_samples(prompt, completion, self.log_mu, self.p, log_left, log_right)
        return _flat(surrogate(objective, self.policy.log_prob(prompt, completion), samples, self.tau), self.policy)


def _play(family: str, rng: np.random.Generator, *, lora: bool = False, tau: float = 0.5) -> Play:
    policy = tiny(family, lora=lora, seed=int(rng.integers(2**31)))
    reference = reference_of(policy)
    _push(policy, 0.2, int(rng.integers(2**31)))
    game = random_game("uniform", len(LANGUAGE), rng)
    return Play(policy, reference, torch.tensor(game.preferences), tau, game.margins)


def _plays(cases: Cases, salt: str) -> Iterator[tuple[str, Play]]:
    rng = cases.rng(salt)
    for family in FAMILIES:
        for lora in (False, True):
            yield f"{family}{', LoRA' if lora else ''}", _play(family, rng, lora=lora)


def _flat(scalar: Tensor, policy: Policy, *, again: bool = False) -> Tensor:
    """The gradient in all trainable weights, one vector; ``again``: another one of the same graph will be asked for."""
    weights = [w for w in policy.model.parameters() if w.requires_grad]
    parts = torch.autograd.grad(scalar, weights, allow_unused=True, retain_graph=again)
    return torch.cat(
        [(torch.zeros_like(w) if g is None else g).reshape(-1) for w, g in zip(weights, parts, strict=True)]
    )


def own_log_prob(
    policy: Policy, prompt: tuple[int, ...], completion: tuple[int, ...], temperature: float = 1.0
) -> Tensor:
    """log π(y_t | x, y_<t) of each token by the model's own forward pass on this one sequence, [T]."""
    model, words = policy.model, torch.tensor([completion])
    if policy.is_encoder_decoder:
        start = torch.tensor([[model.config.decoder_start_token_id]])
        fed = torch.cat([start, words], dim=1)[:, :-1]
        logits = model(input_ids=torch.tensor([prompt]), decoder_input_ids=fed).logits[0]
    else:
        ids = torch.cat([torch.tensor([prompt]), words], dim=1)
        logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(dim=-1).gather(1, words[0][:, None]).squeeze(1)


def _own_log_policy(play: Play, temperature: float = 1.0) -> Tensor:
    """log π of every sequence by :func:`own_log_prob`, with its gradient."""
    return torch.stack([own_log_prob(play.policy, PROMPT, y, temperature).sum() for y in LANGUAGE.sequences])


def _regularised_win(log_pi: Tensor, nu: Tensor, p: Tensor, log_mu: Tensor, tau: float) -> Tensor:
    """P(π ≻ SG ν) − τ KL(π‖μ)."""
    pi = log_pi.exp()
    return pi @ (p @ nu.detach()) - tau * (pi * (log_pi - log_mu)).sum()


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest entry."""
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-12))


def _mixed(log_pi: Tensor, log_mu: Tensor, beta: float) -> Tensor:
    """The sequence-level mixture, log m_β."""
    return restricted((1 - beta) * log_pi + beta * log_mu)


# -- gradients -------------------------------------------------------------------------------------------------------


@bridge_claim(
    "L1",
    "online IPO's parameter gradient is −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)]: GPT-2, Llama, T5, all weights and LoRA",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the factor 2/τ that the paper prints",
)
def l1(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in _plays(cases, "L1"):
        log_pi = _own_log_policy(play)
        value = _regularised_win(log_pi, log_pi.exp(), play.p, play.log_mu, play.tau)
        theory = -(2 if twin else 4) / play.tau * _flat(value, play.policy)
        log_pi = log_pi.detach()
        off = _apart(play.gradient(Pairwise(ipo), log_pi, log_pi), theory)
        total = abs(float(log_pi.exp().sum()) - 1)
        yield Observation(max(off, total), lambda name=name, off=off: {"model": name, "error": off})


@bridge_claim(
    "L2.iv",
    "log-probabilities averaged over tokens give another gradient; at one length T they are IPO at τ/T over T²",
    tolerance=1e-10,
    because=ROUNDING,
    twin="averaged log-probabilities, held against the summed ones' gradient",
)
def l2_iv(cases: Cases, twin: bool) -> Iterator[Observation]:
    lengths = torch.tensor([float(len(y)) for y in LANGUAGE.sequences])
    for name, play in _plays(cases, "L2.iv"):
        log_pi = _own_log_policy(play).detach()
        right = play.gradient(Pairwise(ipo), log_pi, log_pi)
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        samples = expected_samples(prompt, completion, play.log_mu / lengths, play.p, log_pi, log_pi)
        averaged = surrogate(Pairwise(ipo), play.policy.log_prob(prompt, completion) / lengths, samples, play.tau)
        apart = _apart(_flat(averaged, play.policy), right)
        # at one common length the averaged loss is the summed one at τ/T, over T²
        gap, length = torch.linspace(-2, 2, 9, dtype=torch.float64), 3
        same = ipo.value(gap / length, 0.7, play.tau) - ipo.value(gap, 0.7, play.tau / length) / length**2
        off = apart if twin else max(float(same.abs().max()), 0.0 if apart > 0.1 else 1.0)
        yield Observation(
            off, lambda name=name, apart=apart: {"model": name, "averaged differs by": apart}, witness=True
        )


@bridge_claim(
    "L5",
    "IPO-MD's gradient is −(4/τ){E_ν[s(p(·≻ν) − ½ − τh)] + τE_ν[h]E_ν[s]}, (1−β)⁻² of online IPO's at τ/(1−β)",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the printed form, without the last term",
)
def l5(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in _plays(cases, "L5"):
        for beta in (0.125, 0.5, 0.9):
            log_pi = _own_log_policy(play)
            h = (log_pi - play.log_mu).detach()
            log_nu = _mixed(log_pi.detach(), play.log_mu, beta)
            nu = log_nu.exp()
            weights = nu * (play.p @ nu - 0.5 - play.tau * h)
            if not twin:
                weights = weights + play.tau * (nu @ h) * nu
            theory = -4 / play.tau * _flat(weights.detach() @ log_pi, play.policy)
            ours = play.gradient(Pairwise(ipo), log_nu, log_nu)
            off = _apart(ours, theory)
            if not twin:  # L5b: the mixture plays online IPO at a higher temperature
                log_pi = _own_log_policy(play)
                log_mixture, hot = _mixed(log_pi, play.log_mu, beta), play.tau / (1 - beta)
                value = _regularised_win(log_mixture, nu, play.p, play.log_mu, hot)
                reading = -4 / hot / (1 - beta) ** 2 * _flat(value, play.policy)
                off = max(off, _apart(ours, reading))
            yield Observation(off, lambda name=name, beta=beta, off=off: {"model": name, "β": beta, "error": off})


@bridge_claim(
    "L9",
    "Nash-MD-PG's parameter gradient is ∇[P(π ≻ SG m_β) − τ KL(π‖μ)], its KL over whole sequences",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the KL term token by token, log-ratio times log-probability: the cross terms dropped",
)
def l9(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in _plays(cases, "L9"):
        for beta in (0.0, 0.125, 1.0):
            log_pi = _own_log_policy(play)
            log_m = _mixed(log_pi.detach(), play.log_mu, beta)
            value = _regularised_win(log_pi, log_m.exp(), play.p, play.log_mu, play.tau)
            theory = -_flat(value, play.policy)
            if twin:
                ours = _flat(_token_level_loss(play, log_m), play.policy)
            else:
                ours = play.gradient(Pointwise(self_play_advantage), log_pi.detach(), log_m)
            off = _apart(ours, theory)
            yield Observation(off, lambda name=name, beta=beta, off=off: {"model": name, "β": beta, "error": off})


def _token_level_loss(play: Play, log_m: Tensor) -> Tensor:
    """Σ_t (log-ratio_t · log π_t) in the place of log-ratio · log π: what a known trainer descended."""
    prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
    ours = play.policy.token_log_probs(prompt, completion)
    with torch.no_grad():
        ratio = ours - play.reference.token_log_probs(prompt, completion)
        pi = ours.sum(1).exp()
        wins = play.p @ log_m.exp() - 0.5
    return -(pi * (wins * ours.sum(1) - play.tau * (ratio * ours).sum(1))).sum()


@bridge_claim(
    "objectives",
    "every method with a transformer form: the surrogate's gradient is −Σ E[c(y)] ∇log π(y), c from the loss's slope",
    tolerance=1e-10,
    because=ROUNDING,
    twin="labels swapped",
)
def objectives(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("objectives")
    for k, method in enumerate(BRIDGED.values()):
        play = _play(FAMILIES[k % 3], rng)
        log_pi = _own_log_policy(play)
        now, log_mu = log_pi.detach(), play.log_mu
        other = restricted(now + torch.tensor(rng.normal(size=len(now))))
        samplers = {"policy": now, "reference": log_mu, "mixture": _mixed(now, log_mu, 0.3)}
        samplers["behaviour-mixture"] = _mixed(now, other, 0.3)
        log_left, log_right = (samplers.get(side, other) for side in (method.left, method.right))
        h = now - log_mu
        p = 1 - play.p if twin else play.p
        c_left, c_right = method.objective.weights(h[:, None], h[None, :], p, play.tau)
        mass = torch.exp(log_left)[:, None] * torch.exp(log_right)[None, :]
        coefficients = (mass * c_left).sum(1)
        if c_right is not None:
            coefficients = coefficients + (mass * c_right).sum(0)
        theory = -_flat(coefficients @ log_pi, play.policy)
        off = _apart(play.gradient(method.objective, log_left, log_right), theory)
        yield Observation(off, lambda name=method.spec.name, off=off: {"method": name, "error": off})


# -- equilibria ------------------------------------------------------------------------------------------------------


def expected_training(
    play: Play,
    steps: int,
    learning_rate: float,
    *,
    beta1: float = 0.0,
    decay: bool = True,
    language: Language = LANGUAGE,
) -> Iterator[Tensor]:
    """Online IPO by expected gradients and Adam; yields log π after every step."""
    prompt, completion = language.prompts(PROMPT), language.completions
    with torch.no_grad():
        log_mu = language.log_policy(play.reference, PROMPT)
    weights = [w for w in play.policy.model.parameters() if w.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=learning_rate, betas=(beta1, 0.99))
    for t in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * ((1 - t / steps) if decay else 1.0)
        log_pi = play.policy.log_prob(prompt, completion)
        samples = expected_samples(prompt, completion, log_mu, play.p, log_pi, log_pi)
        loss = play.tau / 4 * surrogate(Pairwise(ipo), log_pi, samples, play.tau)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield log_pi.detach()


@bridge_claim(
    "E3",
    "trained by expected gradients a transformer reaches its Nash equilibrium, with proof: min(E3, N14) below 1e-2",
    tolerance=1e-2,
    because="the statement's own bound on ‖π − π*_τ‖₁, from the policy alone",
    twin="trained on swapped labels",
)
def e3(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("E3")
    content: dict[str, Any] = {}
    for family in FAMILIES:
        play = _play(family, rng)
        trained = play._replace(p=play.p.T) if twin else play
        bound, seen = _proved(trained, play, LANGUAGE, 1600)
        content[family] = {"proved ‖π − π*‖₁ ≤": bound, "measured": seen}
        # the certificate must cover the distance to an independently computed equilibrium
        yield Observation(bound if seen <= bound + 1e-9 else 10.0, lambda: content)
    if not twin:
        large = Language((1, 2, 3, 4), 0, 4)
        policy = tiny("gpt2", 4, seed=int(rng.integers(2**31)))
        game = random_game("uniform", len(large), rng)
        play = Play(policy, reference_of(policy), torch.tensor(game.preferences), 0.5, game.margins)
        bound, seen = _proved(play, play, large, 300)
        content["gpt2, 341 sequences"] = {"proved ‖π − π*‖₁ ≤": bound, "measured": seen}
        yield Observation(0.0 if seen <= bound + 1e-9 else 10.0, lambda: content, witness=True)


def _proved(trained: Play, play: Play, language: Language, steps: int) -> tuple[float, float]:
    """(the proved bound on ‖π − π*_τ‖₁ after training, the distance itself)."""
    with torch.no_grad():
        log_mu = language.log_policy(play.reference, PROMPT)
    *_, log_pi = expected_training(trained, steps, 0.01, language=language)
    game = language.game(play.margins, log_mu)
    log_policy = restricted(log_pi).numpy()
    q = regularised_nash(game, play.tau).policy
    return certify(game, log_policy, play.tau).worst_l1_bound, float(np.abs(np.exp(log_policy) - q).sum())


@bridge_claim(
    "N7",
    "a transformer under Adam at a constant step orbits, wider at β₁ = .9 than at β₁ = 0; a falling step settles",
    tolerance=0.0,
    because="an ordering with a factor of three between its sides",
    twin="a falling step in the place of the constant one",
)
def n7(cases: Cases, twin: bool) -> Iterator[Observation]:
    language = Language((1, 2), 0, 1)  # three sequences: rock, paper, scissors
    cycle = torch.tensor([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]], dtype=torch.float64)
    margins = cycle.numpy() - 0.5

    def late(beta1: float, decay: bool) -> float:
        policy = tiny("gpt2", seed=3)
        play = Play(policy, reference_of(policy), cycle, 0.05, margins)
        with torch.no_grad():
            log_mu = language.log_policy(play.reference, PROMPT)
        q = torch.tensor(regularised_nash(language.game(margins, log_mu), play.tau).policy)
        run = expected_training(play, 700, 5e-3, beta1=beta1, decay=decay, language=language)
        return float(np.mean([(x.exp() - q).abs().sum() for x in list(run)[-100:]]))

    fast, slow, settled = late(0.9, twin), late(0.0, twin), late(0.0, True)
    ordered = fast > 1.5 * slow and slow > 3 * settled
    content = {"β₁ = .9": fast, "β₁ = 0": slow, "β₁ = 0, falling": settled}
    yield Observation(0.0 if ordered else 1.0, lambda: content, witness=True)


# -- sampling --------------------------------------------------------------------------------------------------------


@bridge_claim(
    "mixture",
    "the token-level mixture is the sequence-level one for one token and at β = 0, 1; otherwise it is another policy",
    tolerance=1e-12,
    because="sums of 15 float64 probabilities",
    twin="the two taken for the same at β = ½ and three tokens",
)
def mixture(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in _plays(cases, "mixture"):
        for length, beta in ((1, 0.5), (3, 0.0), (3, 1.0), (3, 0.5)):
            language = Language(LANGUAGE.symbols, 0, length)
            prompt, completion = language.prompts(PROMPT), language.completions
            with torch.no_grad():
                steps = mixture_log_probs(play.policy, play.reference, prompt, completion, beta)
                chosen = steps.gather(2, completion.ids[..., None]).squeeze(2)
                token_level = (chosen * completion.mask).sum(1).exp()
                log_pi, log_mu = (language.log_policy(m, PROMPT) for m in (play.policy, play.reference))
                distance = 0.5 * float((token_level - _mixed(log_pi, log_mu, beta).exp()).abs().sum())
            differs = length == 3 and beta == 0.5
            off = distance if twin or not differs else (0.0 if distance > 1e-4 else 1.0)
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
    for name, play in _plays(cases, "sampler"):
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
    """A mixture whose reference is fed nothing after the prompt, as when both models write into one cache."""
    rows = torch.arange(len(prompt.ids))
    decoder = Decoder(play.policy, prompt, beta=0.5 if beta in (0, 1) else beta, reference=play.reference)
    generator = torch.Generator().manual_seed(5)
    words = []
    with torch.no_grad():
        for _ in range(4):
            log_m = decoder.log_probs
            seen.append((rows, log_m))
            words.append(torch.multinomial(log_m.exp(), 1, generator=generator).squeeze(1))
            decoder._parts[0][1].push(words[-1])
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
    for name, play in _plays(cases, "temperature"):
        sharp = 0.7
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        log_pi = _own_log_policy(play, sharp)
        with torch.no_grad():
            log_mu = LANGUAGE.log_policy(play.reference, PROMPT, temperature=sharp)
        value = _regularised_win(log_pi, log_pi.exp(), play.p, log_mu, play.tau)
        theory = -4 / play.tau * _flat(value, play.policy)
        samples = expected_samples(prompt, completion, log_mu, play.p, log_pi, log_pi)
        scored = play.policy.log_prob(prompt, completion, temperature=1.0 if twin else sharp)
        off = _apart(_flat(surrogate(Pairwise(ipo), scored, samples, play.tau), play.policy), theory)
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
    for name, play in _plays(cases, "padding"):
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
    for family in FAMILIES:
        for lora in (False, True):
            policy = tiny(family, lora=lora, seed=int(rng.integers(2**31)))
            reference: Any = policy if twin else reference_of(policy)
            with torch.no_grad():
                before = LANGUAGE.log_policy(reference, PROMPT)
                _push(policy, 0.1, 7)
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


# -- training from samples -------------------------------------------------------------------------------------------

SAMPLED = {"online-ipo": "gpt2", "ipo-md": "llama", "nash-md-pg": "t5"}
LEVELS = {"gradient": 1e-4, "training": 1e-3}  # how often each test may call a correct trainer wrong


class _Misscored(Generated):
    """Samples at one temperature, scored at another: 1."""

    def collect(self, turn: Turn) -> tuple[Samples, Tally]:
        samples, tally = super().collect(turn)
        return samples._replace(log_anchor=turn.players.reference.log_prob(samples.prompt, samples.completion)), tally

    def log_prob(self, policy: Policy, samples: Samples) -> Tensor:
        return policy.log_prob(samples.prompt, samples.completion)


@bridge_claim(
    "sampled",
    "from samples, within confidence bands: a step's mean gradient is the enumerated one (online IPO, IPO-MD, "
    "Nash-MD-PG), and training lowers exact exploitability (online IPO, IPO-MD)",
    tolerance=0.0,
    because="what lies outside a confidence band: Hotelling's T² over steps (1e-4), Student's t over seeds (1e-3)",
    twin="samples at temperature .8 scored at 1 in the gradient, labels swapped in training: both caught",
)
def sampled(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("sampled")
    gradients = [
        _outside({"method": name, "model": family, **_sampled_gradient(name, _play(family, rng), twin)})
        for name, family in SAMPLED.items()
    ]
    trainings = [
        _outside({"method": name, "model": "gpt2", **_sampled_training(name, rng, twin)})
        for name in ("online-ipo", "ipo-md")
    ]
    worst = [max(part, key=lambda one: one.error) for part in (gradients, trainings)]
    # of the twin's two faults the one that is caught must not hide the other
    yield from [min(worst, key=lambda one: one.error)] if twin else [*gradients, *trainings]


def _outside(content: dict[str, Any]) -> Observation:
    return Observation(content["outside by"], lambda: content, witness=True)


def _table(p: Tensor) -> OneOrder:
    """The judge that knows the game."""
    places = {" ".join(str(i) for i in ids if i != LANGUAGE.eos_id): k for k, ids in enumerate(LANGUAGE.sequences)}
    return OneOrder(lambda x, y, z: [float(p[places[a], places[b]]) for a, b in zip(y, z, strict=True)])


def _sampled_gradient(name: str, play: Play, twin: bool, steps: int = 48) -> dict[str, float]:
    """Hotelling's T² of the trainer's gradients at fixed weights, in the four directions of largest Fisher information.

    Directions that only rare sequences show have no spread in few samples, and no test.
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
    scores = torch.stack([_flat(one, play.policy, again=True) for one in log_pi])
    directions = torch.linalg.svd((0.5 * log_pi.detach()).exp()[:, None] * scores, full_matrices=False).Vh[:4]
    found: list[Tensor] = []

    def watch(record: dict[str, Any]) -> None:
        weights = [w for w in play.policy.model.parameters() if w.requires_grad]
        flat = torch.cat([(torch.zeros_like(w) if w.grad is None else w.grad).reshape(-1) for w in weights])
        found.append(directions @ flat)

    still = Settings(steps, batch=64, tau=play.tau, beta=beta, learning_rate=1e-300, optimiser="sgd",
                     max_grad_norm=float("inf"))  # fmt: skip
    train(play.policy, method, source, still, reference=play.reference, progress=watch)
    seen, d = torch.stack(found).numpy(), len(directions)
    apart = seen.mean(axis=0) - (directions @ expected).numpy()
    t2 = steps * float(apart @ np.linalg.solve(np.cov(seen.T), apart))
    statistic = t2 * (steps - d) / (d * (steps - 1))
    outside = statistic / float(stats.f.isf(LEVELS["gradient"], d, steps - d)) - 1
    return {"p-value": float(stats.f.sf(statistic, d, steps - d)), "outside by": max(0.0, outside)}


def _sampled_training(name: str, rng: np.random.Generator, twin: bool, seeds: int = 5) -> dict[str, float]:
    """The one-sided confidence bound of how far training from samples and hard labels lowers exact exploitability.

    One game, whose reference a best reply beats by .06 at least, and one start; seeds differ in samples and labels.
    """
    before = 0.0
    while before < 0.06:
        play = _play("gpt2", rng, tau=0.1)
        start, reference = Weights(play.policy), reference_of(play.policy)
        game = LANGUAGE.game(play.margins, LANGUAGE.log_policy(reference, PROMPT))
        before = _exploitability(play.policy, game, play.tau)
    source = Generated(Prompts(["x"], [list(PROMPT)]), _table(play.p.T if twin else play.p), completions=4,
                       max_new_tokens=3, labels="hard")  # fmt: skip
    ends = []
    for _ in range(seeds):
        start.restore()
        settings = Settings(40, batch=48, tau=play.tau, learning_rate=0.002, seed=int(rng.integers(2**31)))
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


# -- closed candidate sets -------------------------------------------------------------------------------------------


TEXT = (
    "Summarise in a few words.\n\nThis tool reads the pages of a document, finds the tables in them and writes each "
    "table to a file of its own, so that a spreadsheet can open it.\n\nSummary:"
)
SUMMARIES = (
    " extract tables from documents",
    " find the tables in a document",
    " turn documents into spreadsheets",
    " write tables to separate files",
)


@bridge_claim(
    "closed.pretrained",
    "SmolLM2-135M with LoRA, π restricted to 4 summaries of a text: its gradient is L1's, and its equilibrium is known",
    tolerance=2e-3,
    because="float32 sums of about 30 log-probabilities of size 10, relative to the largest entry of the gradient",
    twin="log-probabilities averaged over tokens",
)
def closed_pretrained(cases: Cases, twin: bool) -> Iterator[Observation]:
    try:
        policy = load_policy("smollm2", lora=LoraOptions(rank=4, alpha=8), dtype=torch.float32)
    except BadInput as missing:
        raise Skipped(str(missing)) from None
    reference = reference_of(policy)
    _push(policy, 0.02, 3)
    words = policy.tokenizer
    prompt_ids = tuple(words(TEXT)["input_ids"])
    rows = [(*words(text, add_special_tokens=False)["input_ids"], policy.eos_id) for text in SUMMARIES]
    prompt, batch = pad_left([list(prompt_ids)] * len(rows), policy.pad_id), pad_right(rows, policy.pad_id)
    game, tau = random_game("cyclic", len(rows), cases.rng("closed.pretrained")), 0.5
    p = torch.tensor(game.preferences, dtype=torch.float32)
    with torch.no_grad():
        log_mu = restricted(reference.log_prob(prompt, batch))
    log_pi = restricted(torch.stack([own_log_prob(policy, prompt_ids, row).sum() for row in rows]))
    pi = log_pi.exp()
    value = _regularised_win(log_pi, pi, p, log_mu, tau)
    theory = -4 / tau * _flat(value, policy)
    scored = policy.log_prob(prompt, batch)
    if twin:
        scored = scored / batch.mask.sum(1)
    ours = restricted(scored)
    samples = expected_samples(prompt, batch, log_mu, p, log_pi, log_pi)
    off = _apart(_flat(surrogate(Pairwise(ipo), ours, samples, tau), policy), theory)
    reached = game.with_reference(torch.exp(log_mu.double()).numpy() / float(torch.exp(log_mu.double()).sum()))
    equilibrium = regularised_nash(reached, tau).policy
    distance = float(np.abs(pi.detach().double().numpy() - equilibrium).sum())
    content = {"π": pi.tolist(), "π*": equilibrium.tolist(), "‖π − π*‖₁": distance, "error": off}
    yield Observation(off, lambda: content, witness=True)


@bridge_claim(
    "closed",
    "π restricted to K candidates of a longer language: L1 holds for the restricted policy, and its certificate too",
    tolerance=1e-10,
    because=ROUNDING,
    twin="candidates' log-probabilities not normalised over the set",
)
def closed(cases: Cases, twin: bool) -> Iterator[Observation]:
    rng = cases.rng("closed")
    candidates = [(1, 2, 1, 1, 0), (2, 0), (1, 1, 1, 2, 2, 0), (2, 2, 0), (1, 0)]
    batch, prompt = pad_right(candidates, 0), pad_left([list(PROMPT)] * len(candidates), 0)
    for family in FAMILIES:
        play = _play(family, rng)
        game = random_game("cyclic", len(candidates), rng)
        p = torch.tensor(game.preferences)
        with torch.no_grad():
            log_mu = restricted(play.reference.log_prob(prompt, batch))
        own = torch.stack([own_log_prob(play.policy, PROMPT, y).sum() for y in candidates])
        log_pi = own - own.exp().sum().log()
        value = _regularised_win(log_pi, log_pi.exp(), p, log_mu, play.tau)
        theory = -4 / play.tau * _flat(value, play.policy)
        scored = play.policy.log_prob(prompt, batch)
        ours = scored if twin else restricted(scored)
        samples = expected_samples(prompt, batch, log_mu, p, ours.detach(), ours.detach())
        off = _apart(_flat(surrogate(Pairwise(ipo), ours, samples, play.tau), play.policy), theory)
        yield Observation(off, lambda family=family, off=off: {"model": family, "error": off})
