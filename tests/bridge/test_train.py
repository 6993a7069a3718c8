"""`llm-bridge train`: own policy, prompts and judge, what it measures, and that nothing finished is lost."""

from __future__ import annotations

import errno
import inspect
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.tracking import GeneralTracker
from arena import SETTINGS, generated, weights
from transformers import LlamaConfig
from words import word_tokenizer

from llm_bridge.cli import main, told_progress, train_command
from llm_bridge.data import Question
from llm_bridge.judges import FunctionJudge
from llm_bridge.policy import LoraOptions, load_policy, save_policy
from llm_bridge.policy.forward import NotFinite
from llm_bridge.training import (
    Diverged,
    Players,
    Recipe,
    Settings,
    Stopped,
    bridged,
    checkpoint,
    prepared,
    push,
    threads,
    train,
)
from llm_bridge.training.card import model_card
from llm_bridge.training.run import Record
from llm_bridge.verify import tiny
from nashlab.display import Progress
from nashlab.files import replacing_folder
from nashlab.game import BadInput

WORDS = "red green blue grey tell name a colour fruit fig"
JUDGE = """
def shorter(prompts, left, right, *, target):
    assert all(t in p for p, t in zip(prompts, target))
    return [0.5 + 0.5 * (len(a) < len(b)) - 0.5 * (len(a) > len(b)) for a, b in zip(left, right)]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in a folder, prompts and a judge in files."""
    folder = tmp_path_factory.mktemp("home")
    words = WORDS.split()
    tokenizer = word_tokenizer(WORDS)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, eos_token_id=1,
                         pad_token_id=0, bos_token_id=None)  # fmt: skip
    policy = load_policy(config, tokenizer=tokenizer)
    policy.model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    rows = [{"prompt": f"name {a} {b}", "target": a} for a in words for b in words[:3]]
    (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "judge.py").write_text(JUDGE)
    pairs = [{"prompt": row["prompt"], "chosen": row["target"], "rejected": "fig fig"} for row in rows]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    return folder


def recipe(home: Path, judge: Any = None, method: str = "ipo-md", **changes: Any) -> Recipe:
    settings = {"steps": 4, "batch": 4, "learning_rate": 0.01, "schedule": "constant", "measure_every": 2}
    options = {"max_new_tokens": 6, "held_out": 4, "device": "cpu"}
    options |= {name: changes.pop(name) for name in list(changes) if name not in Settings.__dataclass_fields__}
    judge = judge or f"{home / 'judge.py'}:shorter"
    prompts = options.pop("prompts", [str(home / "prompts.jsonl")])
    return Recipe(str(home / "base"), prompts, judge, Settings(**(settings | changes)), method, **options)


def test_the_command_trains_measures_and_saves_what_loads_again(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["train", "--policy", str(home / "base"), "--prompts", str(home / "prompts.jsonl"), "--judge",
               f"{home / 'judge.py'}:shorter", "--method", "ipo-md", "--tau", "0.1", "--out", str(out), "--steps", "4",
               "--batch", "4", "--max-new-tokens", "6", "--held-out", "4", "--learning-rate", "0.01",
               "--measure-every", "2", "--device", "cpu", "--json"]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(command)
    printed = capsys.readouterr()
    assert not ended.value.code
    last = json.loads(printed.out)
    assert last["step"] == 4
    assert "win rate" in printed.err
    assert "prompt: name" in printed.err
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    first = records[0]
    assert (first["step"], first["win_rate"], first["held_out_kl"]) == (0, 0.5, 0.0)
    assert [r["step"] for r in records if "win_rate" in r] == [0, 2, 4]
    assert all(r["win_rate_low"] <= r["win_rate"] <= r["win_rate_high"] for r in records if "win_rate" in r)
    assert first["mixture_sd"] < 1e-6 < last["mixture_sd"] < last["mixture_sd_high"]  # π = μ at the start
    assert last["gap_most"] > 0
    assert last["held_out_kl"] > 0  # ipo-md samples from a mixture, and has a KL all the same
    again = load_policy(out / "policy")
    assert again.tokenizer("red fig")["input_ids"] == word_tokenizer(WORDS)("red fig")["input_ids"]
    kept = checkpoint.latest(out / "checkpoints")
    assert all(torch.equal(p, kept.tensors[f"weight:{name}"]) for name, p in again.model.named_parameters())
    card = (out / "policy" / "README.md").read_text()
    assert "IPO-MD" in card
    assert f"| win_rate | {last['win_rate']:.4g} |" in card
    assert f"| gap_most | {last['gap_most']:.4g} |\n| mixture_sd | {last['mixture_sd']:.4g} |" in card
    assert json.loads((out / "policy" / "training.json").read_text())["settings"]["tau"] == 0.1
    examples = [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]
    assert [line["step"] for line in examples] == [2, 4]
    assert set(examples[0]["examples"][0]) == {"prompt", "start", "now"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--polcy", "x"], "--policy"),
        (["--method", "ipo-m"], "ipo-md"),
        (["--trackers", "wandbb"], "wandb"),
        (["--trackers", "wandb"], "tracker 'wandb' is not installed here"),
        (["--judge-options", "scal=2"], "'scal' is unknown"),
        (["--judge", "nowhere:f"], "judge = 'nowhere:f' cannot be imported"),
        (["--tau", "0"], "tau = 0, must be positive for ipo-md"),
        (["--held-out", "1000"], "held_out = 1000, must be less than the 30 different prompts"),
        (["--dtype", "floot32"], "float32"),
        (["--optimiser", "adam"], "adamw"),
        (["--column", "promt"], "'prompt'"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_nearest(
    home: Path, tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--policy": str(home / "base"), "--prompts": str(home / "prompts.jsonl"), "--out": str(tmp_path / "out"),
             "--judge": f"{home / 'judge.py'}:shorter", "--device": "cpu"}  # fmt: skip
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    with pytest.raises(SystemExit) as ended:
        main(["train", *(word for pair in given.items() for word in pair)])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def trained(made: Recipe, folder: Path) -> tuple[list[np.ndarray], list[Record]]:
    project = prepared(made, folder)
    project.train()
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return weights(project.policy), records


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_finished_run_is_extended_to_bitwise_the_longer_one(home: Path, tmp_path: Path) -> None:
    whole, records = trained(recipe(home, steps=6), tmp_path / "whole")
    trained(recipe(home, steps=4), tmp_path / "parts")
    longer, again = trained(recipe(home, steps=6), tmp_path / "parts")
    assert same(longer, whole)
    assert [r["step"] for r in again] == [r["step"] for r in records] == [0, 1, 2, 3, 4, 5, 6]
    assert [r["win_rate"] for r in again if "win_rate" in r] == [r["win_rate"] for r in records if "win_rate" in r]
    with pytest.raises(BadInput, match="steps = 5, must be at least 6: those of "):
        trained(recipe(home, steps=5), tmp_path / "parts")
    with pytest.raises(BadInput, match=r"belongs to another run: tau = 0\.1 there, 0\.2 here"):
        trained(recipe(home, steps=8, tau=0.2), tmp_path / "parts")


class Moody:
    """A judge that prefers the shorter, and fails at one of its calls."""

    def __init__(self, fails_at: int) -> None:
        self.calls, self.fails_at = 0, fails_at

    def __call__(self, prompts: list[str], left: list[str], right: list[str]) -> list[float]:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ConnectionError("the line is dead")
        return [0.5 + 0.25 * np.sign(len(b) - len(a)) for a, b in zip(left, right, strict=True)]


@pytest.mark.parametrize("method", ["ipo-md", "egpo", "inpo"])
def test_a_judge_that_fails_leaves_the_finished_steps_and_the_run_goes_on_bitwise(
    home: Path, tmp_path: Path, method: str
) -> None:
    def made(judge: Any) -> Recipe:
        return recipe(home, FunctionJudge(judge), method, steps=4, measure_every=0, refresh=2)

    whole, _ = trained(made(Moody(0)), tmp_path / "whole")
    failing = Moody(7 if method == "egpo" else 4)  # in the third step; egpo asks twice, and measuring asks once
    with pytest.raises(Stopped, match=r"step \d: the judge failed \(ConnectionError: the line is dead\)") as caught:
        trained(made(failing), tmp_path / "parts")
    (note,) = caught.value.__notes__
    done = checkpoint.latest(tmp_path / "parts" / "checkpoints").step
    assert f"{done} steps are kept in {tmp_path / 'parts'}; the same call goes on from there" in note
    assert 0 < done < 4
    assert same(trained(made(Moody(0)), tmp_path / "parts")[0], whole)


def test_a_judge_that_fails_while_measuring_leaves_the_step_that_was_measured(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="measuring after step 2: the judge failed"):
        trained(recipe(home, FunctionJudge(Moody(4)), steps=4), tmp_path)  # measured, two steps, measured
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert checkpoint.latest(tmp_path / "checkpoints").step == 2
    assert [line.get("measured") for line in lines] == [None, None, False]
    with pytest.raises(Stopped, match="measuring after step 2: the judge failed"):  # it has not come back
        trained(recipe(home, FunctionJudge(Moody(1)), steps=4), tmp_path)
    records = trained(recipe(home, FunctionJudge(Moody(0)), steps=4), tmp_path)[1]
    never = trained(recipe(home, FunctionJudge(Moody(0)), steps=4), tmp_path / "never")[1]
    assert [r["step"] for r in records] == [0, 1, 2, 3, 4]
    for one, other in zip(records, never, strict=True):  # measured once it can be, with the same numbers
        assert {k: v for k, v in one.items() if "seconds" not in k} == {
            k: v for k, v in other.items() if "seconds" not in k
        }


def test_a_judge_that_fails_is_said_by_the_command_in_one_line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "judge.py").write_text(
        "calls = 0\n"
        "def moody(prompts, left, right):\n"
        "    global calls\n    calls += 1\n"
        "    if calls == 3:\n        raise ConnectionError('the line is dead')\n"
        "    return [0.5] * len(left)\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["train", "--policy", str(home / "base"), "--prompts", str(home / "prompts.jsonl"), "--judge",
              f"{tmp_path / 'judge.py'}:moody", "--out", str(tmp_path / "out"), "--steps", "4", "--batch", "2",
              "--max-new-tokens", "4", "--held-out", "2", "--device", "cpu"])  # fmt: skip
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the line is dead" in last
    assert "the same call goes on from there" in last


def test_a_full_disk_leaves_the_checkpoint_before_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(home, steps=4, checkpoint_every=1, measure_every=0)
    whole, _ = trained(made, tmp_path / "whole")
    real = checkpoint.sha256_of

    def full(path: Path) -> str:
        if "00000003" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path)

    monkeypatch.setattr(checkpoint, "sha256_of", full)
    with pytest.raises(OSError, match="No space left") as caught:
        trained(made, tmp_path / "parts")
    assert caught.value.__notes__ == [
        f"what was saved before it is in {tmp_path / 'parts'}; the same call goes on from there"
    ]
    monkeypatch.undo()
    assert checkpoint.latest(tmp_path / "parts" / "checkpoints").step == 2
    assert same(trained(made, tmp_path / "parts")[0], whole)


def test_weights_that_a_measurement_finds_broken_are_a_diverged_run(tmp_path: Path) -> None:
    """The step that broke them is named and not kept; the state before it is."""

    def measure(players: Players) -> dict[str, float]:
        measured.append(1)
        if len(measured) == 3:  # before the first step, after it, after the second
            raise NotFinite("probabilities are NaN")
        return {"win_rate": 0.5}

    measured: list[int] = []
    settings = Settings(**(SETTINGS | {"measure_every": 1, "checkpoint_every": 1}))
    with pytest.raises(Diverged, match="step 2: measuring after it: probabilities are NaN; lower"):
        train(tiny("gpt2", seed=1), "online-ipo", generated(), settings, folder=tmp_path, measure=measure)
    assert checkpoint.latest(tmp_path / "checkpoints").step == 1


def test_progress_of_a_resumed_run_starts_where_it_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(5) as advance:
        told = told_progress(advance, None)
        for step in (4, 5):
            told({"step": step, "length": 3.0})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["4/5", "5/5"]


def test_a_folder_is_replaced_by_a_whole_one_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails, and wherever a process is killed, what has been there is there, or comes back."""
    folder = tmp_path / "policy"

    def written(text: str, failure: Exception | None = None) -> None:
        with replacing_folder(folder) as part:
            (part / "weights").write_text(text)
            if failure is not None:
                raise failure

    written("first")
    written("second")
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]
    with pytest.raises(OSError, match="No space"):
        written("half", OSError(errno.ENOSPC, "No space left on device"))
    rename = os.replace

    def full(source: Path, target: Path) -> None:
        if source.name == ".policy.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            written("third")
    assert (folder / "weights").read_text() == "second"
    folder.rename(tmp_path / ".policy.before")  # killed between the two renames
    with pytest.raises(KeyError):
        written("half", KeyError())
    assert (folder / "weights").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["policy"]


def test_a_card_names_a_base_of_the_hub_and_not_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    asked = {"settings": {"tau": 0.1}}
    record = {"step": 3, "win_rate": 0.75, "slope": None, "stretch": 0.5}
    told, folder = (
        model_card(bridged("ipo-md").spec, {"policy": name, **asked}, record) for name in ("owner/name", "models/mine")
    )
    assert "base_model: owner/name" in told
    assert "base_model" not in folder
    assert "| win_rate | 0.75 |\n| stretch | 0.5 |\n" in told


def test_weights_under_adapters_are_a_recipe_s_to_name(home: Path, tmp_path: Path) -> None:
    adapted = load_policy(home / "base", lora=LoraOptions(rank=2, alpha=4))
    save_policy(adapted, tmp_path / "adapters")
    path = tmp_path / "adapters" / "adapter_config.json"
    path.write_text(path.read_text().replace(str(home / "base"), str(tmp_path / "moved")))
    asked = replace(recipe(home), policy=str(tmp_path / "adapters"))
    with pytest.raises(BadInput, match="base"):
        prepared(asked, tmp_path / "out")
    policy = prepared(replace(asked, base=str(home / "base")), tmp_path / "out").policy
    assert policy.has_adapters
    with pytest.raises(BadInput, match=r"quantised = '3bit', must be one of"):
        prepared(replace(recipe(home), quantised="3bit"), tmp_path / "out")


@pytest.mark.parametrize(
    ("now", "at_first", "said", "expected"),
    [(8, 8, "", 1), (4, 4, "", 1), (3, 8, "", 3), (8, 3, "", 8), (3, 3, "", 3), (8, 8, "OMP_NUM_THREADS", 8)],
)
def test_a_small_model_has_one_thread_unless_somebody_said_how_many(
    now: int, at_first: int, said: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of four cores with two processors each; 3 is nobody's but the user's choice."""
    set_to = [now]
    for name in threads.SAID:
        monkeypatch.delenv(name, raising=False)
    if said:
        monkeypatch.setenv(said, "8")
    monkeypatch.setattr(torch, "get_num_threads", lambda: set_to[-1])
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    monkeypatch.setattr(threads, "AT_FIRST", at_first)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    with threads.few_threads(tiny("gpt2")):
        assert set_to[-1] == expected
    assert set_to[-1] == now


def test_offline_methods_learn_from_comparisons_and_need_no_judge(home: Path, tmp_path: Path) -> None:
    settings = Settings(steps=2, batch=4, learning_rate=0.01)
    pairs = [str(home / "pairs.jsonl")]
    made = Recipe(str(home / "base"), pairs, None, settings, "offline-ipo", held_out=4, device="cpu")
    project = prepared(made, tmp_path)
    assert len(project.texts.pairs) == 26
    assert project.train()["step"] == 2
    with pytest.raises(BadInput, match="judge is missing, must be given: ipo-md needs it"):
        Recipe(str(home / "base"), ["x"], None, settings, "ipo-md")


def test_several_sources_are_mixed_by_weight(home: Path, tmp_path: Path) -> None:
    few = [{"prompt": f"tell {word}", "target": word} for word in WORDS.split()[:4]]
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, few)))
    sources = [f"{home / 'prompts.jsonl'}=2", f"{tmp_path / 'few.jsonl'}=1"]
    project = prepared(recipe(home, prompts=sources), tmp_path / "out")
    asked = [q.prompt.split()[0] for q in (*project.texts.training, *project.texts.held_out)]
    assert (asked.count("name"), asked.count("tell")) == (8, 4)
    assert any("8 of the 30" in note for note in project.notes)


# -- trackers --------------------------------------------------------------------------------------------------------


class Seen(GeneralTracker):
    name, requires_logging_directory = "seen", False

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.about: dict[str, Any] = {}
        self.closed = False

    @property
    def tracker(self) -> Any:
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.about = values

    def log(self, values: dict[str, float], step: int | None = None, **more: Any) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.closed = True


def test_trackers_are_shown_the_numbers(tmp_path: Path) -> None:
    seen = Seen()
    train(tiny("gpt2", seed=1), "online-ipo", generated(), Settings(**(SETTINGS | {"steps": 2})), folder=tmp_path,
          trackers=["tensorboard", seen])  # fmt: skip
    assert [step for step, _ in seen.logged] == [1, 2]
    assert {"loss", "kl", "grad_norm"} <= set(seen.logged[0][1])
    assert (seen.about["method"], seen.about["tau"], seen.closed) == ("online-ipo", 0.3, True)
    assert list((tmp_path / "tensorboard").glob("events*"))
    with pytest.raises(BadInput, match=r"tracker 'tensorbord' is unknown.*tensorboard"):
        train(tiny("gpt2"), "online-ipo", generated(), Settings(steps=1), trackers=["tensorbord"])


def test_pushing_happens_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Hub:
        def create_repo(self, name: str, exist_ok: bool) -> str:
            calls.append(name)
            return f"https://hub/{name}"

        def upload_folder(self, folder_path: str, repo_id: str) -> None:
            calls.append((folder_path, repo_id))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert push(tmp_path, "me/mine") == "https://hub/me/mine"
    assert calls == ["me/mine", (str(tmp_path), "me/mine")]


def test_questions_know_themselves() -> None:
    assert Question("a").key == "a"
    assert Question([{"role": "user", "content": "é"}]).key == '[{"role": "user", "content": "é"}]'


def test_the_page_for_those_who_come_from_trl_names_our_own_defaults() -> None:
    """Every `--option` of its table that has a default beside it, against the command's; canary: another number."""
    page = Path(__file__).parents[2] / "notebooks" / "guide" / "coming_from_trl.md"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.read_text("utf-8").splitlines()
            if line.startswith("| `")]  # fmt: skip
    defaults = {name: p.default for name, p in inspect.signature(train_command).parameters.items()}

    def wrong(rows: list[list[str]]) -> list[str]:
        found = []
        for row in rows:
            names = [name.replace("-", "_") for name in re.findall(r"`--([a-z-]+)`", row[2])]
            told = [word.strip("`") for word in row[3].split(", ")]
            for name, said in zip(names, told, strict=False):
                ours = defaults[name]
                shown = ours[0] if isinstance(ours, tuple) else ours
                as_said = type(shown)(said) if isinstance(shown, int | float) and said[:1].isdigit() else said
                if as_said != {None: "whole", 0: "all" if name == "micro_batch" else 0}.get(shown, shown):
                    found.append(name)
        return found

    compared = [row for row in rows if row[3]]
    assert len(compared) >= 14
    assert wrong(compared) == []
    assert wrong([[*row[:3], row[3].replace("0.125", "0.5"), row[4]] for row in compared]) == ["beta"]
