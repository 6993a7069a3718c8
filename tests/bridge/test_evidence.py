"""Heads on frozen states, methods at equal KL, and the order with its uncertainty: against code that shares nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bridge.experiments import texts_in, written

from llm_bridge.experiment import evidence_plots, read_experiment, run_experiment
from llm_bridge.experiment.evidence import Trial, drawable, evidence_of, evidence_of_records
from llm_bridge.experiment.frontier import along, budget, geometric, win_rate
from llm_bridge.experiment.on_states import HeadGround
from llm_bridge.experiment.order import differ, order_by_wins, order_of, resampled
from llm_bridge.experiment.report import read_results, write_report
from llm_bridge.experiment.stages import Stages
from llm_bridge.experiment.start import Start
from llm_bridge.experiment.states import SPLITS, candidate_states, make_states, read_states
from llm_bridge.judges import candidate_sets, intransitivity, with_cycles
from llm_bridge.policy import (
    HeadPolicy,
    Policy,
    Prompts,
    Reference,
    check_reference,
    completions_of,
    pad_left,
    pad_right,
)
from llm_bridge.training import Closed, Settings, bridged, train
from llm_bridge.verify import tiny
from nashlab.game import BadInput

HEAD: dict[str, Any] = {
    "methods": ["online-ipo", "nash-md-pg"],
    "closed": {"temperature": 5.0, "kinds": ["human", "foreign", "lead", "terse"], "samples": 2, "max_new_tokens": 4},
    "head": {"width": 4, "snapshot_every": 2},
    "grid": {"tau": [0.1, 0.3], "beta": [0.2], "seeds": [0, 1]},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts_in(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("head")
    config = written(folder / "c.toml", corpus, **HEAD)
    return config, folder, run_experiment(read_experiment(config), folder)


# -- by hand, with numpy alone ---------------------------------------------------------------------------------------


def equilibrium_by_hand(margins: np.ndarray, mu: np.ndarray, tau: float) -> np.ndarray:
    """π*_τ by many damped steps of log π ← (1 − s) log π + s (log μ + Aπ/τ), for one text."""
    log_pi = np.log(mu)
    for _ in range(4_000):
        pi = np.exp(log_pi - log_pi.max())
        pi /= pi.sum()
        log_pi = 0.98 * np.log(pi) + 0.02 * (np.log(mu) + margins @ pi / tau)
    pi = np.exp(log_pi - log_pi.max())
    return pi / pi.sum()


def kl_by_hand(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * (np.log(a) - np.log(b)) for a, b in zip(p, q, strict=True)))


def games(texts: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random margins [X, K, K] and log μ [X, K]."""
    rng = np.random.default_rng(seed)
    half = rng.uniform(-0.25, 0.25, (texts, k, k))
    log_mu = np.log(rng.dirichlet(np.ones(k), texts))
    return half - half.transpose(0, 2, 1), log_mu


# -- the policy ------------------------------------------------------------------------------------------------------


def head(texts: int = 3, k: int = 4, seed: int = 0) -> HeadPolicy:
    generator = torch.Generator().manual_seed(seed)
    return HeadPolicy(torch.randn(texts, k, 5, generator=generator).double(),
                      torch.randn(texts, k, generator=generator).double(), width=6, seed=seed)  # fmt: skip


def test_a_head_starts_at_its_base_and_its_trained_distribution_is_the_softmax_by_hand() -> None:
    policy = head()
    base = policy.log_policy(torch.arange(3)).exp()
    numbers = torch.Generator().manual_seed(0)
    features = torch.randn(3, 4, 5, generator=numbers).double()
    log_base = torch.randn(3, 4, generator=numbers).double().numpy()
    by_hand = np.exp(log_base) / np.exp(log_base).sum(axis=1, keepdims=True)
    assert np.abs(base.detach().numpy() - by_hand).max() < 1e-14
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(0.3)
    first, bias, last, _ = (p.detach().numpy() for p in policy.model.parameters())
    for x in range(3):
        scores = [log_base[x, y] + np.tanh(first @ features[x, y].numpy() + bias) @ last[0] for y in range(4)]
        for y in range(4):
            found = policy.log_prob(pad_left([[x]]), pad_right([[y, policy.eos_id]])).item()
            assert abs(found - (scores[y] - np.log(np.exp(scores).sum()))) < 1e-12
            assert found == pytest.approx(policy.stream(pad_left([[x]])).logits[0, y].item(), abs=1e-14)


def test_a_head_s_reference_stays_and_a_shared_one_is_caught() -> None:
    policy = head(5, 4)
    check_reference(policy, Reference(policy.frozen_copy(), "copy"))
    with pytest.raises(BadInput, match="reference moves with the policy"):
        check_reference(policy, Reference(policy, "copy"))


@pytest.mark.parametrize(("features", "base", "said"), [
    (torch.zeros(2, 3, 4), torch.zeros(2, 4), r"features \(2, 3, 4\) and log_base \(2, 4\), must be"),
    (torch.zeros(2, 3), torch.zeros(2, 3), "must be"),
    (torch.full((1, 2, 1), torch.nan), torch.zeros(1, 2), r"features\[\[0, 0, 0\]\] is not finite"),
    (torch.zeros(1, 2, 1), torch.tensor([[0.0, -torch.inf]]), r"log_base\[\[0, 1\]\] is not finite"),
])  # fmt: skip
def test_a_head_refuses_what_it_cannot_score(features: torch.Tensor, base: torch.Tensor, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        HeadPolicy(features, base)


def test_a_head_has_no_temperature_of_its_own() -> None:
    with pytest.raises(BadInput, match=r"temperature = 2\.0, must be 1"):
        head().log_prob(pad_left([[0]]), pad_right([[1]]), temperature=2.0)


@pytest.mark.parametrize("method", ["online-ipo", "nash-prox"])
def test_methods_with_the_equilibrium_as_target_reach_it_through_a_head(method: str) -> None:
    """A head that can tell all candidates apart: the fixed point is π*_τ, found here by other code."""
    margins, log_mu = games(2, 3)
    policy = HeadPolicy(torch.eye(6).double().view(2, 3, 6), torch.from_numpy(log_mu), width=8, seed=1)
    source = Closed(Prompts(["a", "b"], [[0], [1]]), [[[0], [1], [2]]] * 2, margins)
    settings = Settings(steps=150, batch=2, tau=0.2, learning_rate=0.05, refresh=15, step_size=5.0)
    train(policy, bridged(method), source, settings, reference=Reference(policy.frozen_copy(), "copy"))
    found = np.exp(source.log_policies(policy))
    wanted = np.array([equilibrium_by_hand(a, np.exp(m), 0.2) for a, m in zip(margins, log_mu, strict=True)])
    assert np.abs(found - wanted).max() < 5e-3  # what 150 steps leave
    assert np.abs(np.exp(log_mu) - wanted).max() > 0.05  # and not where it began


# -- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_states_give_the_model_s_own_log_probabilities(family: str) -> None:
    policy = tiny(family)
    end = policy.eos_id
    prompt = pad_left([[1, 1], [1]], policy.pad_id)
    completion = pad_right([[1, end], [1, 1, end], [end], [1, end]], policy.pad_id)
    found = candidate_states(policy, prompt, completion)
    for row in range(4):
        one = prompt.rows(slice(row // 2, row // 2 + 1))
        ids = completion.ids[row][completion.mask[row]]
        logits = policy.logits(one, pad_right([ids.tolist()], policy.pad_id))[0].detach().double()
        by_hand = sum(float(logits[t].log_softmax(0)[token]) for t, token in enumerate(ids))
        assert abs(found["log_mu"][row] - by_hand) < 1e-5
        assert found["tokens"][row] == len(ids)


def test_the_start_is_the_model_restricted_to_the_candidates(ran: tuple[Path, Path, dict[str, Any]]) -> None:
    """A head at its start and the model itself through the other closed source agree."""
    config, folder, _ = ran
    experiment = read_experiment(config)
    start = Start(experiment, Stages(folder / "stages"))
    ground = HeadGround.prepared(experiment, start)
    model, _ = start.players(0)
    first = 0
    for name in SPLITS:
        split = read_states(ground.folder, name)
        rows = [completions_of(model, each) for each in split["candidates"]]
        own = Closed(start.prompts(model, split["texts"]), rows, split["margins"], 5.0).log_policies(model)
        numbers = torch.arange(first, first + len(own))
        first += len(own)
        assert np.abs(ground.policy(0).log_policy(numbers).detach().numpy() - own).max() < 1e-5


def test_without_a_head_the_model_itself_plays_the_same_games(
    ran: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    """One override, and the transformer is trained: on the same candidates, the model's own included."""
    config, folder = ran[0], tmp_path / "own"
    shutil.copytree(ran[1], folder)  # other tests read the results of the first run
    own = ["head.width=0", "grid.tau=[]", "grid.beta=[]", "seeds=[0]", 'methods=["online-ipo"]']
    results = run_experiment(read_experiment(config, own), folder)
    assert "evidence" not in results
    assert results["tables"]["held out prompts"]["quality"]["online-ipo"]["kl"][0] > 0
    one, other = (next((folder / "stages").glob(f"{stage}-*")) for stage in ("sets", "states"))
    for name in ("training", "held out"):
        assert json.loads((one / f"{name}.json").read_text())["candidates"] == read_states(other, name)["candidates"]
        assert np.array_equal(np.load(one / f"{name}.npy"), read_states(other, name)["margins"])


def test_a_killed_stage_goes_on_after_its_last_chunk(
    ran: tuple[Path, Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder, _ = ran
    experiment = read_experiment(config)
    start = Start(experiment, Stages(folder / "stages"))
    whole = HeadGround.prepared(experiment, start).folder
    calls = 0

    def dies(policy: Policy, prompt: Any, completion: Any) -> dict[str, np.ndarray]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return candidate_states(policy, prompt, completion)

    work, part = tmp_path / "work", tmp_path / "part"
    work.mkdir()
    part.mkdir()
    monkeypatch.setattr("llm_bridge.experiment.states.candidate_states", dies)
    with pytest.raises(KeyboardInterrupt):
        make_states(start, part, work)
    kept = {path.name: path.stat().st_mtime_ns for path in work.glob("*.npz")}
    assert len(kept) == 1
    make_states(start, part, work)
    assert {name: (work / name).stat().st_mtime_ns for name in kept} == kept
    for name in SPLITS:
        one, other = read_states(whole, name), read_states(part, name)
        assert one["candidates"] == other["candidates"]
        assert all(np.array_equal(one[k], other[k]) for k in ("margins", "log_mu", "tokens", "states"))


# -- a whole experiment ----------------------------------------------------------------------------------------------


def test_an_experiment_has_its_evidence_and_a_report(ran: tuple[Path, Path, dict[str, Any]]) -> None:
    _, folder, results = ran
    evidence = results["evidence"]
    assert (len(evidence["curves"]), evidence["seeds"], evidence["texts"]) == (4, [0, 1], 4)
    assert evidence["curves"][0]["step"] == [0, 2, 4]
    assert evidence["ends"]["equilibrium"]["exploitability"] < 1e-9 < evidence["ends"]["reference"]["exploitability"]
    assert json.loads((folder / "results.json").read_text()) == results
    write_report(folder / "report.html", read_results(folder))
    page = (folder / "report.html").read_text()
    assert "Who comes nearest to the equilibrium, on 4 unseen texts" in page
    near = evidence["order"]["exploitability"]
    assert all(f"{value:.4f}" in page for value in near["mean"])


def test_figures_show_the_numbers_that_they_are_given(ran: tuple[Path, Path, dict[str, Any]]) -> None:
    evidence = ran[2]["evidence"]
    order = evidence["order"]["exploitability"]
    left = evidence_plots.nearness(evidence).axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == order["order"]
    assert [line.get_xdata()[0] for line in left.lines if line.get_marker() == "o"] == sorted(order["mean"])
    written = [text.get_text() for text in evidence_plots.ahead(order).axes[0].texts]
    assert len(written) == 2
    assert sum(float(text) for text in written) == pytest.approx(1.0, abs=0.011)  # two decimals each
    paths = evidence_plots.paths(drawable(evidence)).axes[0].lines
    assert [list(line.get_xdata()) for line in paths[:4]] == [curve["kl"] for curve in evidence["curves"]]
    cause = evidence_plots.by_cause({"online-ipo": {0.0: 0.3, 1.0: 0.1}}, "x", "y").axes[0].lines[0]
    assert [list(cause.get_xdata()), list(cause.get_ydata())] == [[0.0, 1.0], [0.3, 0.1]]


def test_methods_at_equal_kl_are_drawn_with_their_intervals() -> None:
    margins, log_mu = games(6, 4, seed=7)
    rng = np.random.default_rng(0)
    trials = []
    for method, size in (("online-ipo", 1.0), ("ipo-md", 2.0), ("rlhf-pg", 3.0)):
        for seed in (0, 1):
            away = log_mu + size * rng.normal(size=log_mu.shape) + 4 * np.einsum("xij,xj->xi", margins, np.exp(log_mu))
            path = np.stack([log_mu, away - np.log(np.exp(away).sum(axis=1, keepdims=True))])
            trials.append(Trial(method, 0.1, None, seed, [0, 9], path, path))
    both = dict.fromkeys(("validation", "held out"), margins)
    evidence = evidence_of(["online-ipo", "ipo-md", "rlhf-pg"], both, dict.fromkeys(both, log_mu), trials, 0.1)
    loss = evidence["equal_kl"][0]["loss"]
    assert evidence["equal_kl"][0]["kl"] == 0.02
    assert len(loss["methods"]) == 3
    left, right = evidence_plots.at_equal_kl(drawable(evidence)).axes
    assert [bar.lines[0].get_ydata()[0] for bar in left.containers] == loss["mean"]
    assert [bar.lines[0].get_ydata()[0] for bar in right.containers] == [row[0] for row in loss["difference"][1:]]
    reach = evidence["area"]["online-ipo"]
    heights = [row["loss"]["mean"][row["loss"]["methods"].index("online-ipo")] for row in evidence["equal_kl"]
               if "online-ipo" in row["loss"]["methods"]]  # fmt: skip
    assert min(heights) < reach["loss"] < max(heights)
    assert reach["from"] == 0.02


def test_sampled_runs_are_brought_to_one_kl_along_their_own_records() -> None:
    """Straight paths, whose win rate at a KL is known; one run never gets to the larger KLs."""

    def run(slope: float, ends: float) -> list[dict[str, float]]:
        return [{"validation_kl": k, "win_rate": 0.5 + slope * k} for k in (0.0, 0.3 * ends, ends)]

    curves = {"online-ipo": [run(0.10, 3.0), run(0.12, 3.0)], "ipo-md": [run(0.08, 3.0), run(0.06, 3.0)],
              "rlhf-pg": [run(0.2, 1.2), run(0.1, 3.0)]}  # fmt: skip
    found = evidence_of_records(curves)
    assert [(row["kl"], len(row["loss"]["methods"])) for row in found["equal_kl"]] == [
        (0.5, 3), (1.0, 3), (1.5, 2), (2.0, 2)]  # fmt: skip
    row = found["equal_kl"][1]
    assert row["win_rate"] == [pytest.approx([0.6, 0.62]), pytest.approx([0.58, 0.56]), pytest.approx([0.7, 0.6])]
    assert row["loss"]["order"] == ["rlhf-pg", "online-ipo", "ipo-md"]
    # N23d by a search: the mean of the density ∝ e^{λu} whose divergence from uniform is 1
    u = (np.arange(20_000) + 0.5) / 20_000
    densities = (np.exp(rate * (u - 1)) for rate in np.linspace(4.0, 12.0, 401))
    means = [(float((q / q.mean() * np.log(q / q.mean())).mean()), float((q / q.mean() * u).mean())) for q in densities]
    bound = min(means, key=lambda pair: abs(pair[0] - 1.0))[1]
    assert row["bound"] == pytest.approx(bound, abs=1e-3)
    assert row["loss"]["mean"] == pytest.approx([bound - 0.61, bound - 0.57, bound - 0.65], abs=1e-3)
    left = evidence_plots.paths(found).axes
    assert len(left) == 1  # no exploitability in records
    assert list(left[0].lines[0].get_ydata()) == [r["win_rate"] for r in curves["online-ipo"][0]]
    assert max(left[0].lines[-1].get_ydata()) == pytest.approx(evidence_of_records(curves)["frontier"]
                                                              ["any preferences (N23d)"]["win_rate"][-1])  # fmt: skip


def test_a_second_run_makes_nothing_and_says_the_same(ran: tuple[Path, Path, dict[str, Any]]) -> None:
    config, folder, results = ran
    made = {path: path.stat().st_mtime_ns for path in (folder / "stages").glob("*/stage.json")}
    again = run_experiment(read_experiment(config), folder)
    assert {path: path.stat().st_mtime_ns for path in (folder / "stages").glob("*/stage.json")} == made
    assert again["evidence"] == results["evidence"]


@pytest.mark.parametrize(("change", "said"), [
    ("closed.kinds=[\"humann\"]", "kinds: 'humann' is unknown.*did you mean 'human'"),
    ("closed.kinds=[\"human\", \"human\", \"lead\"]", "must name none twice"),
    ("closed.kinds=[\"human\"]", "make 3 candidates|make 1 candidates"),
    ("closed.samples=-1", "samples = -1"),
    ("closed.cycles=1.5", "cycles = 1.5, must be between 0"),
    ("head.width=-1", "width = -1, must be at least 0"),
    ("head.snapshot_every=0", "snapshot_every = 0, must be at least 1"),
    ("head.depth=2", "depth"),
    ("head.texts=-1", "texts = -1, must be at least 0"),
    ("head.texts=7", "head.texts = 7, must be at most corpus.prompts = 6"),
    ("policy.lora_rank=2", "policy.lora_rank = 2, must be 0 with a head"),
    ("corpus.held_out=1", "corpus.held_out = 1, must be at least 2"),
    ("seeds=[3]", "must be seeds = .3. with a head"),
])  # fmt: skip
def test_bad_numbers_are_refused_by_name(change: str, said: str, tmp_path: Path, corpus: Path) -> None:
    config = written(tmp_path / "c.toml", corpus, **HEAD)
    overrides = [change] if change != "closed.kinds=[\"human\"]" else [change, "closed.samples=0"]
    with pytest.raises(BadInput, match=said):
        read_experiment(config, overrides)


def test_a_head_needs_closed_sets(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(BadInput, match="head: scores candidates by number, must have closed sets"):
        read_experiment(written(tmp_path / "c.toml", corpus, head={"width": 4}))


# -- candidates and cycles -------------------------------------------------------------------------------------------


def test_with_cycles_scales_what_no_ranking_explains() -> None:
    rng = np.random.default_rng(0)
    half = rng.uniform(-2, 2, (5, 4, 4))
    p = 1 / (1 + np.exp(-(half - half.transpose(0, 2, 1))))
    assert np.array_equal(with_cycles(p, 1.0), p)
    for factor in (0.0, 0.5):
        found = with_cycles(p, factor)
        for x in range(5):
            odds, scaled = (np.log(v[x] / (1 - v[x])) for v in (p, found))
            for i, j, k in ((0, 1, 2), (1, 2, 3), (3, 0, 2)):  # what a ranking cannot have: the sum round a triangle
                around = odds[i, j] + odds[j, k] + odds[k, i]
                assert abs(scaled[i, j] + scaled[j, k] + scaled[k, i] - factor * around) < 1e-10
            assert np.abs(scaled.sum(axis=1) - odds.sum(axis=1)).max() < 1e-10  # and the ranking stays
    assert intransitivity(with_cycles(p, 0.0)).cyclic_energy < 1e-12 < 0.1 < intransitivity(p).cyclic_energy


# -- at equal KL -----------------------------------------------------------------------------------------------------


def test_a_budget_has_its_kl_and_its_equilibrium_by_hand() -> None:
    margins, log_mu = games(3, 4)
    mu = np.exp(log_mu)
    found = budget(margins, log_mu, 0.15)
    by_hand = np.array([equilibrium_by_hand(a, m, found.temperature) for a, m in zip(margins, mu, strict=True)])
    assert np.abs(np.exp(found.log_equilibrium) - by_hand).max() < 1e-8
    for log_pi in (found.log_equilibrium, found.log_best):
        assert abs(np.mean([kl_by_hand(np.exp(p), m) for p, m in zip(log_pi, mu, strict=True)]) - 0.15) < 1e-8
    warmer = np.array([equilibrium_by_hand(a, m, 1.1 * found.temperature) for a, m in zip(margins, mu, strict=True)])
    assert np.abs(warmer - by_hand).max() > 1e-3  # the check would see a temperature that is off by a tenth


def test_at_equal_kl_everybody_loses_to_the_equilibrium_by_tau_kl_and_nobody_beats_the_best_response() -> None:
    margins, log_mu = games(4, 5, seed=3)
    bought = budget(margins, log_mu, 0.2)
    q = np.exp(bought.log_equilibrium)
    best = win_rate(margins, bought.log_best, log_mu).mean()
    rng = np.random.default_rng(0)
    for _ in range(20):
        away = log_mu + rng.normal(size=log_mu.shape) * 3
        log_pi = along([log_mu, away - np.log(np.exp(away).sum(axis=1, keepdims=True))], log_mu, 0.2)
        assert log_pi is not None
        pi = np.exp(log_pi)
        lost = np.mean([sum(q[x, i] * (0.5 + margins[x, i, j]) * pi[x, j] for i in range(5) for j in range(5))
                        for x in range(4)]) - 0.5  # fmt: skip
        divergence = np.mean([kl_by_hand(pi[x], q[x]) for x in range(4)])
        assert abs(lost - bought.temperature * divergence) < 1e-8  # N23a at equal KL; the budget's τ is found to 1e-9
        assert abs(lost - 1.01 * bought.temperature * divergence) > 1e-6  # canary: a hundredth more is seen
        assert win_rate(margins, log_pi, log_mu).mean() < best  # N23d


def test_a_budget_out_of_reach_is_refused_and_a_path_that_stays_below_is_none() -> None:
    margins, log_mu = games(2, 3)
    with pytest.raises(BadInput, match="kl = 50, must be at most"):
        budget(margins, log_mu, 50)
    assert along([log_mu, geometric(log_mu, np.zeros_like(log_mu) - np.log(3), 0.01)], log_mu, 5.0) is None


# -- the order -------------------------------------------------------------------------------------------------------


def test_resampling_is_the_mean_over_drawn_seeds_and_texts() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 3, 7))
    drawn = resampled(values, 4000)
    spread = values.mean(axis=1).std(axis=1) / np.sqrt(7), values.mean(axis=2).std(axis=1) / np.sqrt(3)
    both = np.hypot(*spread)
    assert np.abs(drawn.mean(axis=0) - values.mean(axis=(1, 2))).max() < 0.03
    assert ((drawn.std(axis=0) > both) & (drawn.std(axis=0) < 1.6 * both)).all()  # and the interaction of the two
    assert np.abs(resampled(values + 5.0, 50) - resampled(values, 50) - 5.0).max() < 1e-12  # the same draws for all


def test_an_order_is_certain_where_every_text_agrees_and_even_where_nothing_differs() -> None:
    rng = np.random.default_rng(2)
    base = rng.uniform(size=(3, 20))
    found = order_of(["rlhf-pg", "online-ipo", "ipo-md"], [base + 0.01, base, base], 500)
    assert found["order"][2] == "rlhf-pg"
    assert (found["ahead"][1][0], found["ahead"][0][1], found["ahead"][1][2]) == (1.0, 0.0, 0.5)
    assert found["difference_low"][0][1] == pytest.approx(0.01) == found["difference_high"][0][1]
    assert found["low"][0] < found["mean"][0] < found["high"][0]
    assert found["paper"]["positive"] == 1.0


def test_in_an_order_by_wins_larger_is_better_and_the_numbers_are_win_rates() -> None:
    rng = np.random.default_rng(4)
    base = rng.uniform(0.3, 0.6, size=(3, 20))
    rates = np.stack([base - 0.01, base, base + 0.02])
    found = order_by_wins(["rlhf-pg", "online-ipo", "ipo-md"], rates, 500)
    assert found["order"] == ["ipo-md", "online-ipo", "rlhf-pg"]
    assert found["mean"] == pytest.approx(rates.mean(axis=(1, 2)))
    assert np.allclose(found["by_seed"], rates.mean(axis=2))
    assert all(low < mean < high for low, mean, high in zip(found["low"], found["mean"], found["high"], strict=True))
    for name in ("difference", "difference_low", "difference_high"):
        assert found[name][2][0] == pytest.approx(0.03)
    assert found["ahead"][2][0] == 1.0


def test_methods_that_differ_are_told_from_methods_that_do_not() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(3, 4, 60))
    assert differ(noise)["p_over_texts"] > 0.01
    assert differ(noise + np.array([0.0, 0.5, 1.0])[:, None, None])["p_over_texts"] < 1e-6
    level = np.mean([differ(rng.normal(size=(3, 1, 40)))["p_over_texts"] < 0.05 for _ in range(400)])
    assert level < 0.09  # .05 with a standard error of .011


def test_chosen_settings_come_from_the_validation_texts_and_numbers_from_the_held_out_ones() -> None:
    """Two settings of one method: the one that is better on validation is reported, although it is worse elsewhere."""
    margins, log_mu = games(3, 4, seed=5)
    mu = np.exp(log_mu)
    q = np.log(np.array([equilibrium_by_hand(a, m, 0.3) for a, m in zip(margins, mu, strict=True)]))
    away = np.log(np.full_like(mu, 0.25))
    one = Trial("online-ipo", 0.1, None, 0, [0, 5], np.stack([log_mu, q]), np.stack([log_mu, away]))
    other = Trial("online-ipo", 0.3, None, 0, [0, 5], np.stack([log_mu, away]), np.stack([log_mu, q]))
    both = {"validation": margins, "held out": margins}
    found = evidence_of(["online-ipo"], both, {"validation": log_mu, "held out": log_mu}, [one, other], 0.3)
    assert found["chosen"]["online-ipo"] == {"tau": 0.1, "beta": None, "step": 5}
    assert found["order"]["distance"]["mean"][0] == pytest.approx(np.abs(np.exp(away) - np.exp(q)).sum(axis=1).mean())
    wins = np.einsum("xi,xij,xj->x", np.exp(away), margins, mu).mean() + 0.5
    assert found["order"]["win_rate"]["mean"][0] == pytest.approx(wins)
    for row in found["equal_kl"]:
        assert row["identity_error"] < 1e-8


def test_candidates_are_the_kinds_asked_for_and_the_samples() -> None:
    from llm_bridge.data import Example
    from llm_bridge.judges import SummaryFeatures

    examples = [Example("A fast editor. It is small.", "fast editor"), Example("A game of chess.", "chess game")]
    features = SummaryFeatures(examples, {e.prompt: e.summary for e in examples})
    found = candidate_sets(examples, features, kinds=["lead", "human"], samples=[["one"], ["two"]])
    assert found[0] == ["A fast editor. It is small.", "fast editor", "one"]
    assert found[1][-1] == "two"
    with pytest.raises(BadInput, match="samples holds 1, must be one list for each of the 2"):
        candidate_sets(examples, features, samples=[["one"]])
