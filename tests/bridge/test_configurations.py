"""The configuration of an experiment: what is shipped, what is read, and what is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from bridge.experiments import SAMPLED, texts_in, written

from llm_bridge.experiment import CONFIGS, read_experiment, run_experiment, run_grid, stages_of
from llm_bridge.experiment.pipeline import check_sources
from nashlab.game import BadInput


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts_in(tmp_path_factory.mktemp("corpus"))


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(p.stem for p in CONFIGS.glob("*.toml")))
def test_every_shipped_configuration_can_be_read(name: str) -> None:
    experiment = read_experiment(name)
    assert experiment.name == name
    assert stages_of(experiment) > len(experiment.methods) * len(experiment.seeds)


def test_the_published_numbers_are_those_of_the_paper() -> None:
    """Theory §6."""
    paper = read_experiment("paper-t5-tldr")
    tau = {"rlhf-pg": 0.05, "online-ipo": 1, "online-dpo": 5, "online-slic": 10, "ipo-md": 1, "nash-md-pg": 0.008}
    assert {m: paper.settings(m, 0).tau for m in paper.methods} == tau
    assert {m: paper.settings(m, 0).learning_rate for m in paper.methods} == dict.fromkeys(tau, 1e-4) | {
        "nash-md-pg": 3e-5
    }
    settings = paper.settings("ipo-md", 0)
    assert (settings.steps, settings.batch, settings.beta, settings.optimiser) == (30000, 32, 0.125, "adafactor")
    assert (settings.schedule, settings.warmup) == ("constant", 0)
    assert (paper.corpus.held_out, paper.seeds, paper.comparisons.texts) == (2000, [0, 1, 2], 92820)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "stepz.*did you mean.*steps"),
        ("corpus.prompts=true", "prompts = True, must be of type int"),
        ("corpus.prompts=0", "prompts = 0, must be at least 1"),
        ("train.steps=1.5", "train, online-ipo: steps = 1.5, must be of type int"),
        ("train.tau=true", "train, online-ipo: tau = True, must be of type float"),
        ("tuned=3", "tuned = 3, must be of type dict"),
        ("grid.seeds=[0, true]", r"grid: seeds\[1\] = True, must be of type list\[int\]"),
        ("closed.judge=ratters", "closed: judge = 'ratters' is unknown.*did you mean 'raters'"),
        ('methods=["online-ipoo"]', "'online-ipoo' is unknown.*did you mean 'online-ipo'"),
        ("methods=[]", "at least one"),
        ("seeds=[0.5]", "seeds"),
        ("seeds=[1, 2, 1]", r"seeds = \[1, 2, 1\].*none twice"),
        ('methods=["online-ipo", "online-ipo"]', "methods.*none twice"),
        ("corpus.template=x", r"corpus: template = 'x'.*\{prompt\}"),
        ("policy.dtype=float8", "policy: dtype = 'float8'"),
        ("policy.dtype=bfloat16", "policy: dtype = 'bfloat16', must be 'float32'"),
        ("policy.width=30", "policy: width = 30, must be a multiple of the 4 heads"),
        ("policy.lora_rank=-1", "policy: lora_rank = -1, must be at least 0"),
        ("sft.steps=0", "sft: steps = 0"),
        ("closed.temperature=0", "closed: temperature = 0.0, must be positive and finite"),
        ("sampling.completions=1", "sampling: completions = 1, must be at least 2"),
        ("sampling.temperature=0", "sampling: temperature = 0.0, must be positive and finite"),
        ("sampling.labels=maybe", "sampling: labels = 'maybe'.*soft.*hard"),
        ("judge.template=x", r"judge: template = 'x'.*\{prompt\}"),
        ("judge.max_length=0", "judge: max_length = 0, must be at least 1"),
        ("preference.kind=cross-encodr", "preference: kind = 'cross-encodr'.*did you mean.*cross-encoder"),
        ("preference.max_answer=0", "preference: max_answer = 0, must be at least 1"),
        ("train.tau=-1", "train, online-ipo: tau = -1.0, must be finite and at least 0"),
        ("train.learning_rate=nan", "train, online-ipo: learning_rate = nan, must be positive and finite"),
        ("train.learning_rate=inf", "learning_rate = inf, must be positive and finite"),
        ("train.max_grad_norm=0", "max_grad_norm = 0, must be positive"),
        ("train.tau=0", "tau = 0, must be positive for online-ipo"),
        ("train.weight_decay=-1", "weight_decay = -1, must be finite and at least 0"),
        ('methods=["online-ipo+adam:0"]', "names an optimiser, which is a setting of training here"),
        ("tuned.ipo-md.beta=2", "train, ipo-md: beta = 2, must be between 0 and 1"),
        ("train.seed=3", "train: seed = 3, must be set by seeds"),
        ("tuned.nash-md-pg.bogus=7", "train, nash-md-pg: 'bogus' is unknown"),
        ("tuned.nash-md.tau=7", "nash-md has no transformer form"),
        ("grid.steps=-1", "grid: steps = -1, must be at least 0"),
        ("grid.seeds=[0, 0]", "grid: seeds.*none twice"),
        ("reward.kind=cross-encoder", "reward.kind"),
        ("comparisons.held_out=1.5", "held_out"),
        ("comparisons.completions=1", "completions = 1"),
        ("corpus.raters=none", "raters"),
        ("grid.tau=[-0.1]", "grid.tau"),
        ("preference.training.epochs=0", "epochs = 0"),
        ("nonsense", "must be key=value"),
        ("name.x=3", "name is not a table"),
        ("name=a/b", "name = 'a/b', must be usable as a folder name"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_experiment("demo", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policy.source=./absent", "policy: source = './absent' is neither a folder"),
        ("policy.device=warp", "policy: device = 'warp' is not here"),
        ("policy.device=cuda:64", "policy: device = 'cuda:64' is not here"),
        ("preference.encoder=./absent", "preference: source = './absent' is neither a folder"),
        ("reward.encoder=./absent", "reward: source = './absent' is neither a folder"),
        ("comparisons.source=absent.jsonl", "comparisons: .*absent.jsonl"),
        ("judge.source=./absent", "judge: source = './absent' is neither a folder"),
        ("judge.device=warp", "judge: device = 'warp' is not here"),
    ],
)
def test_what_is_not_on_this_machine_is_named_before_anything_is_made(
    corpus: Path, tmp_path: Path, override: str, message: str
) -> None:
    judged = override if override != "judge.device=warp" else "judge.source=owner/name"  # an unasked judge needs none
    experiment = read_experiment(
        written(tmp_path / "c.toml", corpus, **SAMPLED), [*dict.fromkeys([judged, override]), "grid.tau=[0.1]"]
    )
    for run in (run_experiment, run_grid):
        with pytest.raises(BadInput, match=message):
            run(experiment, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_closed_experiment_does_not_use_may_be_absent(corpus: Path, tmp_path: Path) -> None:
    absent = ["judge.source=./absent", "preference.encoder=./absent", "comparisons.source=absent.jsonl"]
    check_sources(read_experiment(written(tmp_path / "c.toml", corpus, closed={"temperature": 5.0}), absent))


def test_unknown_files_are_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"demoo.*did you mean 'demo'"):
        read_experiment("demoo")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(BadInput, match="not TOML"):
        read_experiment(tmp_path / "bad.toml")


def test_random_weights_must_be_fine_tuned(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="policy: source = 'small' starts from random weights, must be fine-tuned"):
        read_experiment(written(tmp_path / "c.toml", corpus, sft=None))


def test_a_folder_of_the_configurations_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo" / "stages").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert read_experiment("demo").name == "demo"


def test_a_grid_is_every_tau_with_every_beta_of_methods_that_mix() -> None:
    grid = ["grid.tau=[0.1, 0.2]", "grid.beta=[0.1, 0.5, 0.9]", "grid.seeds=[0, 1]", "grid.steps=7"]
    trials = read_experiment("demo", [*grid, 'methods=["online-ipo", "ipo-md"]']).trials()
    count = {m: sum(name == m for name, _ in trials) for m in ("online-ipo", "ipo-md")}
    assert count == {"online-ipo": 2 * 2, "ipo-md": 2 * 3 * 2}
    assert {s.steps for _, s in trials} == {7}
    assert len(set(trials)) == len(trials)
