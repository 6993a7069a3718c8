"""An experiment from its start to its report: both kinds, killed, resumed, side by side, on Ray."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bridge.experiments import SAMPLED, texts_in, written
from faults.processes import start, until

from llm_bridge.cli import main
from llm_bridge.data import SPLITS, Comparison, load_comparisons, load_corpus, write_comparisons
from llm_bridge.experiment import Cluster, in_parallel, read_experiment, run_experiment, run_grid
from llm_bridge.experiment.on_candidate_sets import _make_sets, _sets_about
from llm_bridge.experiment.on_completions import SampledGround, _make_comparisons, _pairs_about
from llm_bridge.experiment.report import read_results, write_report
from llm_bridge.experiment.stages import Stages, read_json
from llm_bridge.experiment.start import Start, contents
from llm_bridge.judges import annotated
from llm_bridge.policy import encoded, load_policy
from llm_bridge.training import bridged
from nashlab.files import plain
from nashlab.game import BadInput, check_temperature


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texts_in(tmp_path_factory.mktemp("corpus"))


def facts(results: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when and where it was computed."""
    return {k: v for k, v in results.items() if k not in ("seconds", "speed", "settings")}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("closed")
    config = written(folder / "c.toml", corpus, closed={"temperature": 5.0})
    return config, folder / "out", run_experiment(read_experiment(config), folder / "out")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> tuple[Path, Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sampled")
    config = written(folder / "c.toml", corpus, **SAMPLED)
    return config, folder / "out", run_experiment(read_experiment(config), folder / "out")


# -- what comes out --------------------------------------------------------------------------------------------------


def test_a_closed_experiment_has_its_tables(closed: tuple[Path, Path, dict[str, Any]]) -> None:
    _, folder, results = closed
    assert set(results["tables"]) == {"training prompts", "held out prompts"}
    for table in results["tables"].values():
        mean = np.array(table["mean"])
        assert table["methods"] == ["online-ipo", "rlhf-pg", "reference", "equilibrium"]
        assert np.abs(mean + mean.T - 1).max() < 1e-12
        assert max(table["quality"]["equilibrium"]["exploitability"]) < 1e-9
        assert min(table["quality"]["reference"]["exploitability"]) > 1e-5  # canary
    first, last = results["curves"]["online-ipo"][0][0], results["curves"]["online-ipo"][0][-1]
    assert last["exploitability"] < first["exploitability"]
    assert json.loads((folder / "results.json").read_text()) == results


def test_a_sampled_experiment_has_tables_by_judge_samples_and_models(
    sampled: tuple[Path, Path, dict[str, Any]],
) -> None:
    _, folder, results = sampled
    assert set(results["tables"]) == {"raters", "preference model"}
    table = results["tables"]["raters"]
    assert table["methods"] == [*SAMPLED["methods"], "reference", "human"]
    quality = table["quality"]["online-ipo"]
    assert {"kl", "tokens", "ended", "words", "rouge1", "rouge2", "rougeL"} <= set(quality)
    assert len(quality["kl"]) == 2
    assert table["quality"]["reference"]["kl"] == [0.0]
    assert set(results["models"]) == {"preference", "reward"}
    for model in results["models"].values():
        assert model["order_swap_error"] == 0.0
        assert model["count"] == results["comparisons"]["held-out"]
    assert set(results["samples"][0]) == {"prompt", *table["methods"]}
    assert results["speed"]["online-ipo"]["tokens_per_second"] > 0
    curves = [curve for runs in results["curves"].values() for curve in runs]
    assert max(abs(curve[0]["win_rate"] - 0.5) for curve in curves) < 1e-7  # the reference against itself, in pairs
    assert max(abs(curve[-1]["win_rate"] - 0.5) for curve in curves) > 5e-7  # canary, near as it is
    parts = {p.stem: {c.prompt for c in load_comparisons(p)} for p in folder.glob("stages/comparisons-*/*.jsonl")}
    assert not parts["train"] & parts["held-out"]


def test_labels_are_shares_of_raters() -> None:
    rng = np.random.default_rng(0)
    found = annotated(lambda x, y, z: np.full(len(x), 0.3), ["x"] * 4000, ["a"] * 4000, ["b"] * 4000, rng, raters=5)
    shares = np.array([c.p for c in found])
    assert set(np.round(shares * 5, 9)) <= set(range(6))
    assert abs(shares.mean() - 0.3) < 4 * np.sqrt(0.21 / 20000)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_says_who_compared(closed: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    results = closed[2]
    assert results["judge"] == "raters"
    for name, words in (("raters", "synthetic population"), ("mine:f", "Responses are compared by mine:f")):
        write_report(tmp_path / "r.html", results | {"judge": name})
        text = (tmp_path / "r.html").read_text()
        assert words in text
        assert ("synthetic population" in text) == (name == "raters")


def test_the_report_is_one_page_from_the_results_alone(
    closed: tuple[Path, Path, dict[str, Any]], sampled: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    both = [read_results(folder) for _, folder, _ in (closed, sampled)]
    both[1]["samples"][0]["human"] = "<script>alert(1)</script>"
    write_report(tmp_path / "r.html", *both)
    text = (tmp_path / "r.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.seen.count("img") == 2 + 2 + 2 + 1  # curves, a table a set or judge, the sampled one by KL
    assert "<script>" not in text
    assert "http" not in text.replace("http-equiv", "")
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(BadInput, match="not the results"):
        read_results(tmp_path / "x.json")


# -- resumed, killed, side by side -----------------------------------------------------------------------------------


def made(folder: Path) -> dict[str, float]:
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("stages/*/stage.json")}


def test_a_second_run_makes_nothing_and_a_change_makes_what_depends_on_it(
    closed: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    config, folder, results = closed
    before = made(folder)
    assert facts(run_experiment(read_experiment(config), folder)) == facts(results)
    assert made(folder) == before
    changed = read_experiment(config, ["tuned.rlhf-pg.tau=0.4"])
    run_experiment(changed, folder)
    new = set(made(folder)) - set(before)
    assert {name.rsplit("-", 1)[0] for name in new} == {"rlhf-pg"}
    assert len(new) == 2


def test_killed_or_interrupted_at_any_stage_it_ends_with_the_same_results(
    sampled: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    config, _, results = sampled
    command = ["llm_bridge", "run", str(config), "--out", str(tmp_path / "out"), "--resume"]
    stops = [("sft", [], signal.SIGKILL, -signal.SIGKILL), ("nash-md-pg", [], signal.SIGKILL, -signal.SIGKILL),
             ("rlhf-pg", ["--workers", "2"], signal.SIGINT, 130)]  # fmt: skip
    for stage, more, how, code in stops:
        running = start([*command, *more], tmp_path)
        awaited = f"{stage}-*.unfinished/checkpoints/step-*"
        until(lambda awaited=awaited: list((tmp_path / "out" / "stages").glob(awaited)), running)
        running.send(how, everyone=True)  # as a terminal does: the workers hear of it too
        assert running.wait().code == code
    assert facts(run_experiment(read_experiment(config), tmp_path / "out")) == facts(results)


def test_processes_side_by_side_give_the_same_results(
    closed: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    config, _, results = closed
    assert facts(run_experiment(read_experiment(config), tmp_path, cluster=Cluster(2))) == facts(results)


def test_a_sweep_on_ray_makes_one_folder_a_run_and_the_run_takes_what_won(corpus: Path, tmp_path: Path) -> None:
    """In a process of its own, as a user would: Ray's processes outlive what a test may leave behind."""
    pytest.importorskip("ray")
    config = written(tmp_path / "c.toml", corpus, closed={"temperature": 5.0})
    grid = ["grid.tau=[0.2, 0.8]", "grid.steps=2", 'methods=["online-ipo"]', "seeds=[0]"]
    command = [sys.executable, "-m", "llm_bridge", "sweep", str(config), "--override", *grid, "--json", "--resume"]
    swept = subprocess.run([*command, "--out", str(tmp_path / "ray")], capture_output=True, text=True, check=False)
    assert swept.returncode == 0, swept.stderr
    found = json.loads(swept.stdout)
    assert len(list((tmp_path / "ray" / "stages").glob("online-ipo-*"))) == 2
    experiment = read_experiment(config, grid)
    before = made(tmp_path / "ray")
    results = run_experiment(experiment, tmp_path / "ray")
    assert before.items() <= made(tmp_path / "ray").items()  # the run takes the sweep's trials as they are
    assert results["grid"] == found["trials"]
    best = max(found["trials"], key=lambda r: r["merit"])
    assert results["settings"]["methods"]["online-ipo"]["tau"] == best["tau"] == found["chosen"]["online-ipo"]["tau"]
    chosen, rows = run_grid(experiment, tmp_path / "serial")
    assert plain(rows) == found["trials"]
    assert chosen == found["chosen"]


@pytest.mark.parametrize("cluster", [Cluster(1), Cluster(2)], ids=["one", "two"])
def test_the_first_failure_is_raised_as_it_was(cluster: Cluster) -> None:
    with pytest.raises(BadInput, match="temperature = -1"):
        in_parallel(check_temperature, [(0.1,), (0.2,), (-1.0,)], cluster)


def test_the_first_failure_on_ray_is_raised_as_it_was() -> None:
    pytest.importorskip("ray")
    code = (
        "from llm_bridge.experiment import Cluster, in_parallel\n"
        "from nashlab.game import BadInput, check_temperature\n"
        "try: in_parallel(check_temperature, [(0.1,), (-1.0,)], Cluster(2, ray='local'))\n"
        "except BadInput as error: print(error)\n"
        "try: in_parallel(check_temperature, [(0.1,)], Cluster(1, ray='local', gpus=1e6))\n"
        "except BadInput as error: print(error)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = found.stdout.splitlines()[-2:]
    assert first.startswith("temperature = -1")
    assert second.startswith("gpus = 1000000.0, must be at most what the cluster has")


@pytest.mark.parametrize(
    ("given", "message"),
    [({"workers": 0}, "workers = 0, must be at least 1"), ({"gpus": -0.5}, "gpus = -0.5, must be finite"),
     ({"gpus": math.nan}, "gpus = nan"), ({"gpus": math.inf}, "gpus = inf")],
)  # fmt: skip
def test_a_cluster_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Cluster(**given)


def test_candidates_may_be_compared_by_any_judge_that_has_a_name(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even without raters; and what the raters made stays where it was."""
    (tmp_path / "who_is_shorter.py").write_text(
        "def p(x, y, z):\n"
        "    return [0.5 + 0.25 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(y, z)]\n"
    )
    monkeypatch.chdir(tmp_path)
    usual = read_experiment(written(tmp_path / "usual.toml", corpus, closed={"temperature": 5.0}))
    assert "judge" not in _sets_about(usual)
    config = written(tmp_path / "c.toml", corpus, closed={"temperature": 5.0, "judge": "who_is_shorter:p"})
    experiment = read_experiment(config, ["corpus.raters=none"])
    assert _sets_about(experiment)["judge"] == "who_is_shorter:p"
    _make_sets(Start(replace(experiment, sft=None), Stages(tmp_path)), tmp_path, tmp_path)
    lengths = [[len(y) for y in each] for each in read_json(tmp_path / "training.json")["candidates"]]
    for margins, length in zip(np.load(tmp_path / "training.npy"), np.array(lengths), strict=True):
        np.testing.assert_array_equal(margins, 0.25 * np.sign(length[None, :] - length[:, None]))


def test_completions_may_be_compared_by_any_judge_that_has_a_name(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It labels the completions of the reference, without raters; and what the raters labelled stays where it was."""
    (tmp_path / "shortest.py").write_text(
        "def p(x, y, z):\n"
        "    return [0.5 + 0.5 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(y, z)]\n"
    )
    monkeypatch.chdir(tmp_path)
    usual = read_experiment(written(tmp_path / "usual.toml", corpus, **SAMPLED))
    assert "judge" not in json.dumps(_pairs_about(usual))
    config = written(tmp_path / "c.toml", corpus, **SAMPLED)
    experiment = read_experiment(config, ["corpus.raters=none", "comparisons.judge=shortest:p"])
    assert _pairs_about(experiment)["judge"] == "shortest:p"
    _make_comparisons(Start(experiment, Stages(tmp_path)), tmp_path, tmp_path)
    found = [c for name in ("train", "held-out") for c in load_comparisons(tmp_path / f"{name}.jsonl")]
    clear = [c for c in found if len(c.left) != len(c.right)]
    assert len(clear) > 10
    assert all(c.p == (len(c.left) < len(c.right)) for c in clear)
    with pytest.raises(BadInput, match="judge = 'shortest:p' labels completions"):
        read_experiment(config, ["comparisons.judge=shortest:p", "comparisons.source=mine.jsonl"])


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({"closed": {"temperature": 5.0}}, ["train.learning_rate=1e30", "train.max_grad_norm=inf"]),
        (SAMPLED, ["preference.training.learning_rate=1e30", "preference.training.batch_size=2"]),
    ],
    ids=["a method", "a preference model"],
)
def test_training_that_diverges_is_one_line_and_exit_code_1(
    changes: dict[str, Any], settings: list[str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(tmp_path / "c.toml", corpus, **changes)
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(config), "--out", str(tmp_path / "out"), "--override", *settings])
    assert stopped.value.code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"llm-bridge: step \d+: .*; lower learning_rate = 1e\+30", last)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "CONFIG", "--out", "FILE"], "out = .*file: cannot be written"),
        (["compare", "RESULTS", "--out", "FILE/x.html"], "out = .*file: cannot be written"),
        (["compare", "RESULTS", "--out", "."], r"out = \. is a folder, must be a file"),
        (["compare", "PARTIAL"], "is not the results.json of an experiment"),
        (
            ["run", "CONFIG", "--out", "NEW", "--override", "corpus.source=FIVE"],
            "has no text in its (train|test|validation) part",
        ),
    ],
)
def test_files_that_cannot_be_used_are_one_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "partial.json").write_text('{"tables": {}}')
    (tmp_path / "five.jsonl").write_text("".join(corpus.read_text().splitlines(keepends=True)[:2]))
    results = Path(__file__).parents[2] / "llm_bridge" / "results" / "summarise-t5.json"
    config = written(tmp_path / "c.toml", corpus, closed={"temperature": 5.0})
    places = {"CONFIG": config, "FILE": tmp_path / "file", "NEW": tmp_path / "new", "RESULTS": results,
              "PARTIAL": tmp_path / "partial.json", "FIVE": tmp_path / "five.jsonl"}  # fmt: skip
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    for _ in range(2):  # what failed does not stand in the way of what follows
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
        assert re.search(message, capsys.readouterr().err)


def test_an_experiment_starts_its_own_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stopped:
        main(["run", "demo"])
    assert stopped.value.code == 2
    assert "WORLD_SIZE = 2, must be 1" in capsys.readouterr().err


def test_trained_policies_can_be_read(sampled: tuple[Path, Path, dict[str, Any]]) -> None:
    places = list((sampled[1] / "stages").glob("rlhf-pg-*"))
    assert len(places) == 2
    for place in places:
        policy = load_policy(place / "policy")
        assert encoded(policy, ["a package"]).rows[0]


def test_nothing_is_learned_from_comparisons_of_texts_that_are_judged(corpus: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    everything = [e for split in SPLITS for e in load_corpus(corpus, split)]
    write_comparisons(pairs, [Comparison(e.prompt, e.summary, "no", 1.0) for e in everything])
    experiment = read_experiment(written(tmp_path / "c.toml", corpus, **SAMPLED), [f"comparisons.source={pairs}"])
    (tmp_path / "made").mkdir()
    start = Start(experiment, Stages(tmp_path / "out"))
    _make_comparisons(start, tmp_path / "made", tmp_path)
    used = {c.prompt for which in ("train", "held-out") for c in load_comparisons(tmp_path / "made" / f"{which}.jsonl")}
    assert used
    assert used <= {e.prompt for e in load_corpus(corpus, "train")} < {e.prompt for e in everything}


def test_a_stage_has_one_maker_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def make(part: Path, work: Path) -> None:
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            Stages(tmp_path).made("a", {}, lambda part, work: None)

    place = stages.made("a", {}, make)
    (tmp_path / f"{place.name}.unfinished").mkdir()  # as a kill leaves it between the stage's end and the clean-up
    assert stages.made("a", {}, make) == place
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


def test_a_file_counts_by_its_content(corpus: Path, tmp_path: Path) -> None:
    """Texts, comparisons: the same name with something else in it is another stage."""
    texts, pairs = tmp_path / "texts.jsonl", tmp_path / "pairs.jsonl"
    texts.write_bytes(corpus.read_bytes())
    write_comparisons(pairs, [Comparison("a", "b", "c", 1.0), Comparison("d", "e", "f", 0.0)])
    config = written(tmp_path / "c.toml", texts, **(SAMPLED | {"sft": None, "policy": {"source": "title-t5"}}))
    experiment = read_experiment(config, [f"comparisons.source={pairs}"])

    def about() -> list[Any]:
        ground = SampledGround(experiment, Start(experiment, Stages(tmp_path / "out")), pairs, {})
        return [
            _pairs_about(experiment),
            ground.about("online-ipo", experiment.settings("online-ipo", 0)),
            ground._asking,
        ]

    first = about()
    assert about() == first
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"1")
    before = contents(str(weights)) | contents("debian") | contents("owner/name")
    (weights / "model.safetensors").write_bytes(b"22")
    assert list(before) == list(contents(str(weights))) == [str(weights / "model.safetensors")]
    assert contents(str(weights)) != before
    texts.write_text(texts.read_text().replace("package", "parcel"))
    assert [a != b for a, b in zip(about(), first, strict=True)] == [True, True, True]
    second = about()
    write_comparisons(pairs, [Comparison("a", "b", "c", 0.0), Comparison("d", "e", "f", 0.0)])
    assert about()[0] != second[0]


def test_recorded_comparisons_play_at_the_sampling_temperature(
    sampled: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    experiment = read_experiment(sampled[0], ["sampling.temperature=2"])
    pairs = next((sampled[1] / "stages").glob("comparisons-*"))
    start = Start(experiment, Stages(sampled[1] / "stages"))
    policy, _ = start.players(0)
    ground = SampledGround(experiment, start, pairs, {})
    assert ground._source(bridged("offline-dpo"), policy).temperature == 2.0


def test_a_stage_that_fails_leaves_no_finished_folder(tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    def broken(part: Path, work: Path) -> None:
        (part / "half").write_text("x")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        stages.made("a", {"x": 1}, broken)
    # but what survives a kill: the folder in which it would go on
    assert [p.name for p in tmp_path.iterdir()] == [f"{stages.place('a', {'x': 1}).name}.unfinished"]
    assert stages.place("a", {"x": 1}) != stages.place("a", {"x": 2})


# -- the published setting, on files of one's own --------------------------------------------------------------------


def test_the_papers_configuration_runs_on_local_files(corpus: Path, tmp_path: Path) -> None:
    """A tiny T5, a file of texts, a file of human comparisons: everything but lengths as published."""
    from transformers import T5Config, T5ForConditionalGeneration

    from llm_bridge.experiment.start import _tokenizer

    examples = load_corpus(corpus)
    tokenizer = _tokenizer(300, [t for e in examples for t in (e.prompt, e.summary)])
    shape = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_heads": 4, "decoder_start_token_id": 0}
    ids = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    T5ForConditionalGeneration(T5Config(**(shape | ids))).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    pairs = [Comparison(e.prompt, e.summary, examples[i - 1].summary, 1.0) for i, e in enumerate(examples)]
    write_comparisons(tmp_path / "human.jsonl", pairs[:12])
    local = [f"corpus.source={corpus}", f"comparisons.source={tmp_path / 'human.jsonl'}"]
    local += [f"{key}={tmp_path / 't5'}" for key in ("policy.source", "preference.encoder", "reward.encoder")]
    local += [f"judge.source={tmp_path / 't5'}", "judge.dtype=float32", "corpus.held_out=3", "corpus.validation=2"]
    local += ["sft.steps=2", "sft.batch=2", "train.steps=2", "train.batch=2", "train.micro_batch=1", "seeds=[0]"]
    local += ["sampling.max_new_tokens=4", "corpus.max_prompt_tokens=40", "policy.device=cpu", "judge.device=cpu"]
    local += ["sft.precision=no", "train.precision=no", "preference.mixed_precision=false"]
    local += [f"{key}.max_{text}=40" for key in ("preference", "reward") for text in ("prompt", "answer")]
    results = run_experiment(read_experiment("paper-t5-tldr", local), tmp_path / "out")
    assert set(results["tables"]) == {"preference model", "likelihood judge"}
    assert results["tables"]["likelihood judge"]["methods"][:6] == results["paper"]["methods"]
