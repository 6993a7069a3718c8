"""Policies restricted to closed candidate sets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from llm_bridge.policy import LoraOptions, load_policy, pad_left, pad_right, reference_of
from llm_bridge.training import expected_samples, restricted, surrogate
from llm_bridge.verify.oracle import own_log_prob, regularised_win
from llm_bridge.verify.tiny_models import (
    MODEL_FAMILIES,
    PROMPT,
    ROUNDING,
    apart,
    bridge_claim,
    flat_gradient,
    play_of,
    push,
)
from nashlab.algorithm import Pairwise
from nashlab.claims import Cases, Observation, Skipped
from nashlab.equilibrium import regularised_nash
from nashlab.gallery import random_game
from nashlab.game import BadInput
from nashlab.losses import ipo

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
    push(policy, 0.02, 3)
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
    value = regularised_win(log_pi, pi, p, log_mu, tau)
    theory = -4 / tau * flat_gradient(value, policy)
    scored = policy.log_prob(prompt, batch)
    if twin:
        scored = scored / batch.mask.sum(1)
    ours = restricted(scored)
    samples = expected_samples(prompt, batch, log_mu, p, log_pi, log_pi)
    off = apart(flat_gradient(surrogate(Pairwise(ipo), ours, samples, tau), policy), theory)
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
    for family in MODEL_FAMILIES:
        play = play_of(family, rng)
        game = random_game("cyclic", len(candidates), rng)
        p = torch.tensor(game.preferences)
        with torch.no_grad():
            log_mu = restricted(play.reference.log_prob(prompt, batch))
        own = torch.stack([own_log_prob(play.policy, PROMPT, y).sum() for y in candidates])
        log_pi = own - own.exp().sum().log()
        value = regularised_win(log_pi, log_pi.exp(), p, log_mu, play.tau)
        theory = -4 / play.tau * flat_gradient(value, play.policy)
        scored = play.policy.log_prob(prompt, batch)
        ours = scored if twin else restricted(scored)
        samples = expected_samples(prompt, batch, log_mu, p, ours.detach(), ours.detach())
        off = apart(flat_gradient(surrogate(Pairwise(ipo), ours, samples, play.tau), play.policy), theory)
        yield Observation(off, lambda family=family, off=off: {"model": family, "error": off})
