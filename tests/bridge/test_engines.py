"""Sampling by a server in the sampler's place, and judging while the next portion is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arena import PROMPTS, SETTINGS, generated, weights
from serving import StandIn, running

from llm_bridge.judges import OneOrder
from llm_bridge.policy import Policy, Tokens, pad_left, sample
from llm_bridge.training import Generated, ServedPolicy, Settings, Stopped, Trainer, checkpoint, train
from llm_bridge.verify import tiny
from nashlab.game import BadInput


class Engine(StandIn):
    """A stand-in for vLLM's server: it has weights of its own, and answers with token ids drawn from them."""

    def __init__(self, spoil: Callable[[list[int]], list[int]] = lambda ids: ids) -> None:
        super().__init__()
        self.policy, self.spoil, self.pushes = tiny("gpt2", seed=1), spoil, 0

    def push(self, policy: Policy) -> None:
        self.pushes += 1
        self.policy.model.load_state_dict(policy.model.state_dict())

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        generator = torch.Generator().manual_seed(body["seed"])
        with self.lock:
            tokens = sample(self.policy, pad_left([body["prompt"]]), max_new_tokens=body["max_tokens"],
                            temperature=body["temperature"], generator=generator)  # fmt: skip
        ids = self.spoil(tokens.ids[0][tokens.mask[0]].tolist())
        return 200, {"choices": [{"text": "never read", "token_ids": ids}]}


@pytest.fixture
def engine() -> Iterator[Callable[..., Engine]]:
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(running(Engine(**options)))


def judge(prompts: list[str], left: list[str], right: list[str]) -> list[float]:
    return [0.5 + 0.25 * np.sign(len(b) - len(a)) for a, b in zip(left, right, strict=True)]


def source(server: Engine, **options: Any) -> Generated:
    served = ServedPolicy(server.url, "policy", push=server.push, retries=1)
    served.server.first_wait = 0.001
    return Generated(PROMPTS, OneOrder(judge), max_new_tokens=3, sampler=served, **options)


def test_a_served_policy_s_completions_are_those_of_the_policy(engine: Callable[..., Engine]) -> None:
    """Within four standard errors of the sampler's own, token by token at the first place; another policy's are not."""
    server = engine()
    served = ServedPolicy(server.url, "policy", concurrent=4)
    prompt = pad_left([PROMPTS.rows[0]])
    found = served(tiny("gpt2", seed=1), prompt, max_new_tokens=3, completions=200, uniforms=torch.rand(200, 3))
    assert found.ids.shape[0] == 200
    for seed, same in ((1, True), (5, False)):
        p = tiny("gpt2", seed=seed).stream(prompt).logits.softmax(-1)[0].detach().double().numpy()
        share = np.bincount(found.ids[:, 0].numpy(), minlength=len(p)) / 200
        off = np.abs(share - p) / np.sqrt(p * (1 - p) / 200)
        assert (off.max() < 4) == same


def test_training_by_a_server_learns_and_pushes_its_weights_once_a_step(engine: Callable[..., Engine]) -> None:
    server = engine()
    policy = tiny("gpt2", seed=1)
    before = weights(policy)
    records = train(policy, "online-ipo", source(server), Settings(**(SETTINGS | {"steps": 2})))
    assert server.pushes == 2
    assert all(np.isfinite(r["loss"]) and r["kl"] is not None for r in records)
    assert max(np.abs(a - b).max() for a, b in zip(weights(policy), before, strict=True)) > 1e-3
    assert {len(body["prompt"]) for body in server.bodies} <= {len(row) for row in PROMPTS.rows}
    assert all(body["top_p"] == 1.0 and body["top_k"] == -1 and "logprobs" not in body for body in server.bodies)
    # the server stands where the policy was before the last step
    assert max(np.abs(a - b).max() for a, b in zip(weights(server.policy), weights(policy), strict=True)) > 1e-3


def test_log_probabilities_are_the_trainer_s_own(engine: Callable[..., Engine]) -> None:
    """A server that samples from other weights gives log-ratios that are none of its own: the KL at the start is 0."""
    server = engine()
    server.policy = tiny("gpt2", seed=5)
    sampler = ServedPolicy(server.url, "policy")  # nothing is pushed
    game = Generated(PROMPTS, OneOrder(judge), max_new_tokens=3, sampler=sampler)
    (record,) = train(tiny("gpt2", seed=1), "online-ipo", game, Settings(steps=1, batch=2))
    assert abs(record["kl"]) < 1e-12


def test_mixtures_and_foreign_tokens_are_refused(engine: Callable[..., Engine]) -> None:
    for method in ("ipo-md", "nash-md-pg", "best-response"):
        with pytest.raises(BadInput, match="samples from the policy alone, must be omitted for a mixture"):
            train(tiny("gpt2"), method, source(engine()), Settings(steps=1, batch=2))
    with pytest.raises(BadInput, match="the server returned token 99, must be one of the policy's"):
        train(tiny("gpt2"), "online-ipo", source(engine(spoil=lambda ids: [99])), Settings(steps=1, batch=2))


def test_an_end_that_the_server_leaves_out_is_put_back_and_nothing_follows_one(engine: Callable[..., Engine]) -> None:
    policy = tiny("gpt2", seed=1)
    end = policy.eos_id
    for spoil, expected in (
        (lambda ids: [1, 2], [1, 2, end]),
        (lambda ids: [1, end, 2], [1, end]),
        (lambda ids: [1, 2, 1], [1, 2, 1]),
    ):
        served = ServedPolicy(engine(spoil=spoil).url, "policy")
        found = served(policy, pad_left([PROMPTS.rows[0]]), max_new_tokens=3, uniforms=torch.rand(1, 3))
        assert found.ids[0][found.mask[0]].tolist() == expected


def test_a_killed_server_leaves_the_finished_steps(engine: Callable[..., Engine], tmp_path: Path) -> None:
    server = engine()

    def stop(record: dict[str, Any]) -> None:
        if record["step"] == 2:
            server.shutdown()
            server.server_close()

    with pytest.raises(Stopped, match=r"step 3: .*cannot be reached"):
        train(tiny("gpt2", seed=1), "online-ipo", source(server), Settings(**SETTINGS), folder=tmp_path, progress=stop)
    assert checkpoint.latest(tmp_path / "checkpoints").step == 2


# -- judging beside generation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["online-ipo", "nash-md-pg", "self-play-pg", "xpo"])
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_portions_change_nothing(method: str, labels: str) -> None:
    def trained(portions: int) -> list[np.ndarray]:
        policy = tiny("gpt2", seed=1)
        game = generated(labels=labels)
        object.__setattr__(game, "portions", portions)
        train(policy, method, game, Settings(**(SETTINGS | {"steps": 3})))
        return weights(policy)

    whole = trained(1)
    for portions in (3, 9):  # of four prompts a step
        off = max(np.abs(a - b).max() for a, b in zip(trained(portions), whole, strict=True))
        assert off < 1e-9  # float64 sums of other batches, divided by Adam


def test_the_next_portion_is_written_while_the_judge_works() -> None:
    """The judge of each portion waits until the next one is being written: in turns, it would wait in vain."""
    begun = [threading.Event() for _ in range(4)]
    in_time: list[bool] = []

    def sampler(*arguments: Any, **named: Any) -> Tokens:
        next(event for event in begun if not event.is_set()).set()
        return sample(*arguments, **named)

    def patient(prompts: list[str], left: list[str], right: list[str]) -> Any:
        following = begun[1:][len(in_time) :][:1]  # none after the last portion
        in_time.append(all(event.wait(20) for event in following))
        return OneOrder(judge)(prompts, left, right)

    game = Generated(PROMPTS, patient, max_new_tokens=3, portions=4, sampler=sampler)
    train(tiny("gpt2", seed=1), "online-ipo", game, Settings(steps=1, batch=4))
    assert in_time == [True] * 4
    assert all(event.is_set() for event in begun)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("method", ["online-ipo", "nash-md-pg", "egpo"])
def test_scoring_while_the_judge_reads_changes_no_bit(
    method: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> list[np.ndarray]:
        policy = tiny("gpt2", seed=1)
        train(policy, method, generated(), Settings(**(SETTINGS | {"steps": 3, "precision": precision})))
        return weights(policy)

    early = trained()
    monkeypatch.setattr(Trainer, "_score_early", lambda self, samples: None)
    assert all(np.array_equal(a, b) for a, b in zip(early, trained(), strict=True))


def test_the_policy_scores_while_the_judge_reads() -> None:
    """A judge that answers only once the forward pass of the step is done; with micro-batches it is asked for later."""
    scored, waited = threading.Event(), list[bool]()

    def patient(prompts: Sequence[str], left: Sequence[str], right: Sequence[str]) -> list[float]:
        waited.append(scored.wait(60.0 if len(waited) == 0 else 0.05))
        return [0.75] * len(prompts)

    for micro_batch in (0, 2):
        scored.clear()
        game = Generated(PROMPTS, OneOrder(patient), max_new_tokens=3)
        settings = Settings(steps=1, batch=4, micro_batch=micro_batch)
        trainer = Trainer(tiny("gpt2", seed=1), "online-ipo", game, settings)
        trainer.scorer.register_forward_hook(lambda *_: scored.set())
        trainer.advance()
    assert waited == [True, False]
