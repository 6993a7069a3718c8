"""Sampled experiments: methods write completions that learned models compare; raters and a judge evaluate them.

comparisons           completions of π_ref, labelled by the named judge; or human judgments
preference, reward    trained on the same comparisons, evaluated on held-out texts
METHOD                trained against these models; then one completion of every held-out text
scores                the independent judge's scores of the completions
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from llm_bridge.data import Example, load_comparisons, write_comparisons
from llm_bridge.experiment.configuration import Experiment, Learned, Sampling
from llm_bridge.experiment.evaluate import Answers, judged_tables
from llm_bridge.experiment.stages import Stages, read_json
from llm_bridge.experiment.start import (
    Start,
    contents,
    device_of,
    judge_about,
    judge_title,
    learned,
    quietly,
    texts_about,
    texts_of_split,
)
from llm_bridge.judges import (
    Judge,
    RelevanceScore,
    annotated,
    intransitivity,
    judge_named,
    matrix,
    pair_score,
)
from llm_bridge.policy import (
    Policy,
    Prompts,
    Reference,
    Tokens,
    completions_of,
    load_policy,
    sample,
    save_policy,
    texts_of,
)
from llm_bridge.preferences import (
    MODELS,
    BradleyTerry,
    PreferenceModel,
    calibrate,
    load_encoder,
    load_model,
    quality,
    save_model,
    train_preference_model,
)
from llm_bridge.training import Bridged, Generated, Players, Recorded, Settings, Source, bridged, train
from nashlab.game import BadInput
from nashlab.parallel import Cluster, in_parallel

__all__ = ["SampledGround"]

BATCH = 16  # prompts at a time outside training; results do not depend on it


@dataclass(frozen=True)
class SampledGround:
    """Methods write completions, compared by a learned preference (or reward) model."""

    experiment: Experiment
    start: Start
    pairs: Path
    models: Mapping[str, Path]

    @classmethod
    def prepared(cls, experiment: Experiment, start: Start, cluster: Cluster | None) -> SampledGround:
        """The ground with its comparisons and the two fitted models, in parallel if the cluster allows it."""
        stages = start.stages
        pairs = start.made("comparisons", _pairs_about(experiment), _make_comparisons)
        about = {name: _model_about(experiment, start, pairs, name) for name in ("preference", "reward")}
        models = {name: stages.place(name, each) for name, each in about.items()}
        missing = [name for name, place in models.items() if not stages.finished(place)]
        for _ in range(len(models) - len(missing)):
            stages.advance("run")
        in_parallel(_fit, [(experiment, stages.folder, pairs, name) for name in missing], cluster, stages.advance)
        return cls(experiment, start, pairs, models)

    def about(self, method: str, settings: Settings) -> dict[str, Any]:
        """Base, comparisons, models, texts and training settings."""
        experiment = self.experiment
        return {"base": self.start.name, "comparisons": self.pairs.name, "method": method,
                "models": {k: v.name for k, v in self.models.items()}, **self._asking,
                "policy": asdict(experiment.policy), "settings": learned(settings)}  # fmt: skip

    def make(self, method: str, settings: Settings, part: Path, work: Path) -> None:
        """Train, and keep a completion of every held-out text, its log-ratio to the reference, and the weights."""
        policy, reference = self.start.players(settings.seed)
        source = self._source(bridged(method), policy)
        measure = self._measure(policy)
        train(policy, bridged(method), source, settings, reference=reference, folder=work, measure=measure)
        self._answer(policy, policy, reference, settings.seed).write(part / "answers.json")
        save_policy(policy, part / "policy")

    def merit(self, record: Mapping[str, float]) -> float:
        """The win rate against the reference by the preference model."""
        return record["win_rate"]

    def results(self, places: Mapping[tuple[str, int], Path]) -> dict[str, Any]:
        """Tables by judge, samples side by side, the quality of the models."""
        asked = {
            "reference": self.start.stages.made("answers", {"base": self.start.name, **self._asking}, self._reference)
        }
        answers: dict[str, list[Answers]] = {m: [] for m in [*self.experiment.methods, "reference"]}
        scored: dict[str, list[Any]] = {m: [] for m in answers}
        folders = [*places.items(), (("reference", 0), asked["reference"])]
        for (method, _), place in folders:
            answers[method].append(Answers.read(place / "answers.json"))
            if self.experiment.judge.source != "none":
                scored[method].append(self._scores(place.name, answers[method][-1]))
        held_out = self._held_out
        answers["human"] = [Answers.of([e.summary for e in held_out])]
        if self.experiment.judge.source != "none":
            scored["human"] = [self._scores("human", answers["human"][0])]
        texts = [e.prompt for e in held_out]
        judges: dict[str, Judge] = {"preference model": self._preference.judge()}
        cycles = {}
        named = self.experiment.comparisons.judge
        if named != "raters" or self.experiment.corpus.raters == "synthetic":
            last = _judge(self.experiment, held_out)
            judges = {judge_title(named): last, **judges}
            together = [[row.texts[i] for rows in answers.values() for row in rows] for i in range(len(texts))]
            cycles = {"held out, all players": asdict(intransitivity(matrix(last, texts, together)))}
        tables = judged_tables(self.experiment.methods, texts, answers, judges, scored)
        return {
            "kind": "sampled",
            "tables": tables,
            "intransitivity": cycles,
            "samples": [
                {"prompt": texts[i], **{m: rows[0].texts[i] for m, rows in answers.items()}}
                for i in range(min(8, len(texts)))
            ],
            "models": {name: read_json(place / "quality.json") for name, place in self.models.items()},
            "comparisons": {
                which: len(load_comparisons(self.pairs / f"{which}.jsonl")) for which in ("train", "held-out")
            },
        }

    # -- how a run is trained and watched

    def _source(self, method: Bridged, policy: Policy) -> Source:
        if method.offline:
            return self._recorded(policy)
        sampling, corpus = self.experiment.sampling, self.experiment.corpus
        prompts = self.start.prompts(policy, [e.prompt for e in texts_of_split(corpus, "train", corpus.prompts)])
        reward = method.spec.judge == "reward"
        judge = _reward_judge(self._reward) if reward else self._preference.judge()
        labels = "soft" if reward else sampling.labels
        numbers = (sampling.completions, sampling.max_new_tokens, sampling.temperature)
        return Generated(prompts, judge, *numbers, labels)

    def _recorded(self, policy: Policy) -> Recorded:
        found = load_comparisons(self.pairs / "train.jsonl")
        prompts = self.start.prompts(policy, [c.prompt for c in found])
        left, right = (completions_of(policy, [getattr(c, side) for c in found], prompts) for side in ("left", "right"))
        return Recorded(prompts, left, right, [c.p for c in found], self.experiment.sampling.temperature)

    def _measure(self, policy: Policy) -> Callable[[Players], dict[str, float]]:
        """On the validation texts, with two completions each: the win rate against the reference by the learned
        preferences, KL(π‖μ) in nats per completion, tokens per completion, and the share that ends by itself."""
        corpus = self.experiment.corpus
        texts = [e.prompt for e in texts_of_split(corpus, "validation", corpus.validation)]
        judge, prompts = self._preference.judge(), self.start.prompts(policy, texts)
        twice = [x for x in texts for _ in range(2)]
        others: list[str] = []

        def measure(players: Players) -> dict[str, float]:
            if not others:  # the reference does not change
                drawn = _drawn(self.start, policy, players.reference, texts, self.experiment.sampling, 2, seed=2)
                # y_i and y'_i share their random numbers, so y_1 meets y'_2, and y_2 y'_1: independent, hence unbiased,
                # and exactly 1/2 at the reference
                others.extend(y for first, second in drawn for y in (second, first))
            ours = self._written(policy, players.policy, players.reference, prompts, 2, seed=2)
            found: dict[str, Any] = {"win_rate": judge(twice, ours.texts, others), "validation_kl": ours.log_ratios,
                                     "validation_length": ours.lengths, "validation_ended": ours.ended}  # fmt: skip
            return {name: float(np.mean(values)) for name, values in found.items()}

        return measure

    @cached_property
    def _preference(self) -> PreferenceModel:
        return load_model(self.models["preference"] / "model", device_of(self.experiment.policy.device))

    @cached_property
    def _reward(self) -> BradleyTerry:
        model = load_model(self.models["reward"] / "model", device_of(self.experiment.policy.device))
        assert isinstance(model, BradleyTerry)
        return model

    # -- how it is evaluated

    @cached_property
    def _held_out(self) -> list[Example]:
        return texts_of_split(self.experiment.corpus, "test", self.experiment.corpus.held_out)

    @property
    def _asking(self) -> dict[str, Any]:
        """Everything besides the policy that answers to the held-out texts depend on."""
        corpus = self.experiment.corpus
        return {"corpus": asdict(corpus) | contents(corpus.source), "sampling": asdict(self.experiment.sampling)}

    def _reference(self, part: Path, work: Path) -> None:
        policy, reference = self.start.players(0)
        self._answer(policy, reference, reference, 0).write(part / "answers.json")

    def _answer(self, policy: Policy, model: Policy | Reference, reference: Reference, seed: int) -> Answers:
        """One completion of every held-out text."""
        prompts = self.start.prompts(policy, [e.prompt for e in self._held_out])
        humans = [e.summary for e in self._held_out]
        return self._written(policy, model, reference, prompts, 1, seed=1000 + seed, humans=humans)

    def _written(
        self,
        policy: Policy,
        model: Policy | Reference,
        reference: Reference,
        prompts: Prompts,
        k: int,
        *,
        seed: int,
        humans: Sequence[str] = (),
    ) -> Answers:
        """k completions of every prompt, with log π − log μ of each: an unbiased estimate of KL(π‖μ)."""
        sampling = self.experiment.sampling
        texts: list[str] = []
        ratios: list[float] = []
        lengths: list[int] = []
        ended: list[bool] = []
        for rows, completion in _sampled(policy, model, prompts, sampling, k, seed):
            prompt = prompts.tokens(policy, rows)
            with torch.no_grad():
                both = [m.log_prob(prompt, completion, temperature=sampling.temperature) for m in (model, reference)]
            texts += texts_of(policy, completion)
            ratios += (both[0] - both[1]).double().tolist()
            lengths += completion.mask.sum(dim=1).tolist()
            ended += policy.ended(completion).tolist()
        return Answers.of(texts, humans, ratios, lengths, ended)

    def _scores(self, name: str, answers: Answers) -> list[float]:
        """The independent judge's score of every answer."""
        judge = self.experiment.judge
        about = {"judge": asdict(judge), "answers": name, **self._asking, **contents(judge.source)}
        place = self.start.stages.made("scores", about, lambda part, work: self._score(answers, part))
        return list(read_json(place / "scores.json"))

    def _score(self, answers: Answers, part: Path) -> None:
        scores = self._likelihood([e.prompt for e in self._held_out], answers.texts)
        (part / "scores.json").write_text(json.dumps(scores.tolist()), encoding="utf-8")

    @cached_property
    def _likelihood(self) -> RelevanceScore:
        judge = self.experiment.judge
        policy = load_policy(judge.source, dtype=getattr(torch, judge.dtype), device=device_of(judge.device))
        policy.tokenizer.chat_template = None  # its template is all of the instruction
        return RelevanceScore(policy, BATCH, judge.max_length, judge.template, judge.without)


def _pairs_about(experiment: Experiment) -> dict[str, Any]:
    wanted = experiment.comparisons
    about = {"comparisons": asdict(wanted) | contents(wanted.source), "corpus": texts_about(experiment.corpus)}
    about["comparisons"].pop("judge")
    about |= judge_about(wanted.judge)
    if experiment.comparisons.source == "reference":
        about["sampling"] = asdict(experiment.sampling) | {"completions": 0, "labels": ""}
    return about


def _make_comparisons(start: Start, part: Path, work: Path) -> None:
    """Completions of π_ref, all pairs of a text, labelled by the judge; or human comparisons."""
    experiment, wanted = start.experiment, start.experiment.comparisons
    if wanted.source == "reference":
        examples = texts_of_split(experiment.corpus, "train", wanted.texts)
        policy, reference = start.players(0)
        texts = [e.prompt for e in examples]
        answers = _drawn(start, policy, reference, texts, experiment.sampling, wanted.completions, seed=1)
        pairs = [(x, y, z) for x, each in zip(texts, answers, strict=True) for y, z in combinations(each, 2) if y != z]
        if not pairs:
            raise BadInput(f"comparisons: all completions of each of {len(texts)} texts are the same, must differ")
        x, y, z = map(list, zip(*pairs, strict=True))
        found = annotated(_judge(experiment, examples), x, y, z, np.random.default_rng(0), raters=wanted.raters)
    else:
        judged = {e.prompt for split in ("validation", "test") for e in texts_of_split(experiment.corpus, split)}
        unseen = (c for c in load_comparisons(wanted.source) if c.prompt not in judged)
        found = list(islice(unseen, wanted.texts))
    order = list(dict.fromkeys(c.prompt for c in found))
    kept_back = set(order[: max(1, round(wanted.held_out * len(order)))])
    split = {"held-out": [c for c in found if c.prompt in kept_back],
             "train": [c for c in found if c.prompt not in kept_back]}  # fmt: skip
    for name, comparisons in split.items():
        if not comparisons:
            raise BadInput(f"comparisons: {len(found)} of {len(order)} texts, too few for a {name} part")
        write_comparisons(part / f"{name}.jsonl", comparisons)


def _model_about(experiment: Experiment, start: Start, pairs: Path, name: str) -> dict[str, Any]:
    about: Learned = getattr(experiment, name)
    return {"comparisons": pairs.name, "base": start.name, "model": asdict(about), **contents(about.encoder)}


def _fit(experiment: Experiment, folder: Path, pairs: Path, name: str) -> None:
    """A preference or reward model, calibrated and evaluated on the held-out texts."""
    quietly(experiment)
    stages = Stages(folder)
    start = Start(experiment, stages)
    about: Learned = getattr(experiment, name)

    def make(part: Path, work: Path) -> None:
        train_part, held_out = (load_comparisons(pairs / f"{which}.jsonl") for which in ("train", "held-out"))
        source = start.source if about.encoder == "policy" else about.encoder
        encoder = load_encoder(
            source, max_prompt=about.max_prompt, max_answer=about.max_answer, mixed_precision=about.mixed_precision
        )
        model = MODELS[about.kind](encoder).to(device_of(experiment.policy.device))
        train_preference_model(model, train_part, held_out, about.training, folder=work)
        calibrate(model, held_out)
        (part / "quality.json").write_text(json.dumps(quality(model, held_out).as_json()), encoding="utf-8")
        save_model(model, part / "model")

    stages.made(name, _model_about(experiment, start, pairs, name), make)


def _judge(experiment: Experiment, examples: Sequence[Example]) -> Judge:
    """The judge that compares completions of these texts."""
    training = texts_of_split(experiment.corpus, "train")
    return judge_named(experiment.comparisons.judge, training=training, evaluation=examples)


def _drawn(
    start: Start,
    policy: Policy,
    model: Policy | Reference,
    texts: Sequence[str],
    sampling: Sampling,
    k: int,
    *,
    seed: int,
) -> list[list[str]]:
    """k completions of each text."""
    prompts = start.prompts(policy, texts)
    found: list[list[str]] = []
    for rows, completion in _sampled(policy, model, prompts, sampling, k, seed):
        answers = texts_of(policy, completion)
        found += [answers[i * k : (i + 1) * k] for i in range(len(rows))]
    return found


def _sampled(
    policy: Policy, model: Policy | Reference, prompts: Prompts, sampling: Sampling, k: int, seed: int
) -> list[tuple[range, Tokens]]:
    """k completions of every prompt, in batches; a prompt's random numbers do not depend on the batch."""
    found = []
    for first in range(0, len(prompts.rows), BATCH):
        rows = range(first, min(first + BATCH, len(prompts.rows)))
        shape = (k, sampling.max_new_tokens)
        uniforms = np.concatenate([np.random.default_rng([seed, i]).random(shape) for i in rows])
        with torch.no_grad():
            completion = sample(
                model,
                prompts.tokens(policy, rows),
                completions=k,
                max_new_tokens=sampling.max_new_tokens,
                temperature=sampling.temperature,
                uniforms=torch.from_numpy(uniforms),
            )
        found.append((rows, completion))
    return found


def _reward_judge(model: BradleyTerry) -> Judge:
    """½ + r(x, y) − r(x, y'): the signal for a method that maximises the reward, linear in it."""

    def judge(prompts: Sequence[str], left: Sequence[str], right: Sequence[str]) -> Any:
        return 0.5 + pair_score(model.rewards, prompts, left, right)

    return judge
