"""Gradients in a transformer's weights against the theory's formulas."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from llm_bridge.training import BRIDGED, expected_samples, restricted, surrogate
from llm_bridge.verify.oracle import regularised_win, sequence_mixture
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
)
from nashlab.algorithm import Pairwise, Pointwise
from nashlab.claims import Cases, Observation
from nashlab.losses import ipo, self_play_advantage


@bridge_claim(
    "L1",
    "online IPO's parameter gradient is −(4/τ) ∇[P(π ≻ SG π) − τ KL(π‖μ)]: GPT-2, Llama, T5, all weights and LoRA",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the factor 2/τ that the paper prints",
)
def l1(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in plays_of(cases, "L1"):
        log_pi = play.own_log_policy()
        value = regularised_win(log_pi, log_pi.exp(), play.p, play.log_mu, play.tau)
        theory = -(2 if twin else 4) / play.tau * flat_gradient(value, play.policy)
        log_pi = log_pi.detach()
        off = apart(play.gradient(Pairwise(ipo), log_pi, log_pi), theory)
        total = abs(float(log_pi.exp().sum()) - 1)
        yield Observation(max(off, total), lambda name=name, off=off: {"model": name, "error": off})


@bridge_claim(
    "L2.iv",
    "log-probabilities averaged over tokens give another gradient; at one length T they are IPO at τ/T over T²",
    tolerance=1e-10,
    because=ROUNDING,
    twin="averaged log-probabilities, compared with the gradient of summed ones",
)
def l2_iv(cases: Cases, twin: bool) -> Iterator[Observation]:
    lengths = torch.tensor([float(len(y)) for y in LANGUAGE.sequences])
    for name, play in plays_of(cases, "L2.iv"):
        log_pi = play.own_log_policy().detach()
        right = play.gradient(Pairwise(ipo), log_pi, log_pi)
        prompt, completion = LANGUAGE.prompts(PROMPT), LANGUAGE.completions
        samples = expected_samples(prompt, completion, play.log_mu / lengths, play.p, log_pi, log_pi)
        averaged = surrogate(Pairwise(ipo), play.policy.log_prob(prompt, completion) / lengths, samples, play.tau)
        distance = apart(flat_gradient(averaged, play.policy), right)
        # at one common length the averaged loss is the summed one at τ/T, over T²
        gap, length = torch.linspace(-2, 2, 9, dtype=torch.float64), 3
        same = ipo.value(gap / length, 0.7, play.tau) - ipo.value(gap, 0.7, play.tau / length) / length**2
        off = distance if twin else max(float(same.abs().max()), 0.0 if distance > 0.1 else 1.0)
        yield Observation(
            off, lambda name=name, distance=distance: {"model": name, "averaged differs by": distance}, witness=True
        )


@bridge_claim(
    "L5",
    "IPO-MD's gradient is −(4/τ){E_ν[s(p(·≻ν) − ½ − τh)] + τE_ν[h]E_ν[s]}, (1−β)⁻² of online IPO's at τ/(1−β)",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the printed form, without the last term",
)
def l5(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in plays_of(cases, "L5"):
        for beta in (0.125, 0.5, 0.9):
            log_pi = play.own_log_policy()
            h = (log_pi - play.log_mu).detach()
            log_nu = sequence_mixture(log_pi.detach(), play.log_mu, beta)
            nu = log_nu.exp()
            weights = nu * (play.p @ nu - 0.5 - play.tau * h)
            if not twin:
                weights = weights + play.tau * (nu @ h) * nu
            theory = -4 / play.tau * flat_gradient(weights.detach() @ log_pi, play.policy)
            ours = play.gradient(Pairwise(ipo), log_nu, log_nu)
            off = apart(ours, theory)
            if not twin:  # L5b: the mixture plays online IPO at a higher temperature
                log_pi = play.own_log_policy()
                log_mixture, hot = sequence_mixture(log_pi, play.log_mu, beta), play.tau / (1 - beta)
                value = regularised_win(log_mixture, nu, play.p, play.log_mu, hot)
                reading = -4 / hot / (1 - beta) ** 2 * flat_gradient(value, play.policy)
                off = max(off, apart(ours, reading))
            yield Observation(off, lambda name=name, beta=beta, off=off: {"model": name, "β": beta, "error": off})


@bridge_claim(
    "L9",
    "Nash-MD-PG's parameter gradient is ∇[P(π ≻ SG m_β) − τ KL(π‖μ)], its KL over whole sequences",
    tolerance=1e-10,
    because=ROUNDING,
    twin="the KL term token by token, log-ratio times log-probability: the cross terms dropped",
)
def l9(cases: Cases, twin: bool) -> Iterator[Observation]:
    for name, play in plays_of(cases, "L9"):
        for beta in (0.0, 0.125, 1.0):
            log_pi = play.own_log_policy()
            log_m = sequence_mixture(log_pi.detach(), play.log_mu, beta)
            value = regularised_win(log_pi, log_m.exp(), play.p, play.log_mu, play.tau)
            theory = -flat_gradient(value, play.policy)
            if twin:
                ours = flat_gradient(_token_level_loss(play, log_m), play.policy)
            else:
                ours = play.gradient(Pointwise(self_play_advantage), log_pi.detach(), log_m)
            off = apart(ours, theory)
            yield Observation(off, lambda name=name, beta=beta, off=off: {"model": name, "β": beta, "error": off})


def _token_level_loss(play: Play, log_m: Tensor) -> Tensor:
    """Σ_t (log-ratio_t · log π_t) instead of log-ratio · log π: the loss of a known trainer."""
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
        play = play_of(MODEL_FAMILIES[k % 3], rng)
        log_pi = play.own_log_policy()
        now, log_mu = log_pi.detach(), play.log_mu
        other = restricted(now + torch.tensor(rng.normal(size=len(now))))
        samplers = {"policy": now, "reference": log_mu, "mixture": sequence_mixture(now, log_mu, 0.3)}
        samplers["behaviour-mixture"] = sequence_mixture(now, other, 0.3)
        log_left, log_right = (samplers.get(side, other) for side in (method.left, method.right))
        h = now - log_mu
        p = 1 - play.p if twin else play.p
        c_left, c_right = method.objective.weights(h[:, None], h[None, :], p, play.tau)
        mass = torch.exp(log_left)[:, None] * torch.exp(log_right)[None, :]
        coefficients = (mass * c_left).sum(1)
        if c_right is not None:
            coefficients = coefficients + (mass * c_right).sum(0)
        theory = -flat_gradient(coefficients @ log_pi, play.policy)
        off = apart(play.gradient(method.objective, log_left, log_right), theory)
        yield Observation(off, lambda name=method.spec.name, off=off: {"method": name, "error": off})
