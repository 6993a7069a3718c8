"""Every block of the how-to pages runs in order, page by page, and prints what the page says that it prints.

In a page, ``<!-- file: NAME -->`` before a block makes it a file, as does ``# NAME.py`` on the first line of Python.  A
``text`` block after commands is output: each of its lines must appear, ``...`` standing for anything.  ``<!-- not run:
REASON -->`` marks what cannot run here: its Python is compiled and its imports are tried, its options must exist.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nashlab import cli

GUIDE = Path(__file__).resolve().parent.parent / "notebooks" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
MARK = r"(?:^<!-- (?P<what>file|not run): (?P<note>[^\n]*) -->\n)?"
BLOCK = re.compile(MARK + r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
NAMED = re.compile(r"# (\w+\.py)\n")


class Block(NamedTuple):
    """A block of a page: its language, its text, and the mark before it."""

    language: str
    text: str
    what: str | None
    note: str


def blocks(page: str) -> list[Block]:
    found = [Block(m["language"], m["text"], m["what"], m["note"] or "") for m in BLOCK.finditer(page)]
    return [b if (name := NAMED.match(b.text)) is None else b._replace(what="file", note=name[1]) for b in found]


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, in words, without comments; && separates, a backslash continues a line."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines for part in line.split(" && ") if (words := shlex.split(part, comments=True))]


# -- what runs ---------------------------------------------------------------------------------------------------------


def executed(words: list[str]) -> str:
    """What a command of ours prints, in this process; ``> FILE`` writes its standard output."""
    program, *arguments = words
    target = Path(arguments.pop()) if arguments[-2:-1] == [">"] else None
    if target is not None:
        arguments.pop()
    code, out, err = (alone if arguments[0] == "check" else here_and_now)(program, arguments)
    assert not code, f"{words}: exit code {code}\n{err}"
    if target is not None:
        target.write_text(out, encoding="utf-8")
    return err + out


def here_and_now(program: str, arguments: list[str]) -> tuple[object, str, str]:
    """Exit code, standard output and errors of a command in this process, which has its packages loaded."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main_of(program)(arguments)
    return end.value.code, out.getvalue(), err.getvalue()


def alone(program: str, arguments: list[str]) -> tuple[object, str, str]:
    """The same in a process of its own: a check of a loss is slow beside all that a test session has loaded."""
    start = f"from {main_of(program).__module__} import main; main()"
    about = os.environ | {"PYTHONPATH": str(GUIDE.parents[1])}
    command = [sys.executable, "-c", start, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=about)
    return done.returncode, done.stdout, done.stderr


def main_of(program: str) -> Callable[[list[str]], None]:
    if program == "nashlab":
        return cli.main
    assert program == "llm-bridge", f"{program}: no program of ours; mark its block as not run"
    return importlib.import_module("llm_bridge.cli").main


def missing(expected: str, printed: str) -> list[str]:
    """The lines of an output block that were not printed; white space counts for nothing."""
    seen = " ".join(printed.split())
    lines = [" ".join(line.split()) for line in expected.splitlines()]
    wanted = [".*?".join(map(re.escape, line.split("..."))) for line in lines if line not in ("", "...")]
    return [line for line in wanted if not re.search(line, seen)]


# -- what cannot run here ----------------------------------------------------------------------------------------------


def options_of(program: str, command: str) -> set[str]:
    """The options that a command's own help names, or its own parser has."""
    if program == "accelerate":
        from accelerate.commands.launch import launch_command_parser

        return {name for action in launch_command_parser()._actions for name in action.option_strings}
    if program == "ray":
        scripts = pytest.importorskip("ray.scripts.scripts")
        return {name for parameter in scripts.cli.commands[command].params for name in parameter.opts}
    out = StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        main_of(program)([command, "--help"])
    return set(re.findall(r"--[a-z][a-z0-9-]*", out.getvalue()))


def unknown_options(words: list[str]) -> list[str]:
    """The options of a command line that its program does not have."""
    if words[0] == "accelerate" and "llm_bridge" in words:
        inner = words.index("llm_bridge")
        return unknown_options([*words[: inner - 1]]) + unknown_options(["llm-bridge", *words[inner + 1 :]])
    known = options_of(words[0], words[1])
    return [word for word in words[2:] if word.startswith("--") and word not in known]


def unknown_imports(source: str) -> list[str]:
    """The names that Python imports from modules which do not have them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            module = importlib.import_module(node.module)
            found += [alias.name for alias in node.names if not hasattr(module, alias.name)]
    return found


# -- pages -------------------------------------------------------------------------------------------------------------


def a_small_model(folder: Path) -> None:
    """``base``: the folder of a model, which the pages assume."""
    from transformers import LlamaConfig
    from words import word_tokenizer

    from llm_bridge.policy import load_policy

    tokenizer = word_tokenizer("Name a colour. fruit. metal. tree. red fig tin oak")
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"max_position_embeddings": 96, "eos_token_id": 1, "pad_token_id": 0, "bos_token_id": None}
    policy = load_policy(LlamaConfig(vocab_size=len(tokenizer), **shape, **ends), tokenizer=tokenizer)
    policy.model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")


ASSUMED = {"train_my_model": a_small_model}
README = GUIDE.parents[1] / "README.md"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, and tables of formats and modules as they were afterwards."""
    from nashlab.votes.formats import BY_EXTENSION

    before = dict(BY_EXTENSION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "bridge"))
    yield tmp_path
    BY_EXTENSION.clear()
    BY_EXTENSION.update(before)


def run_page(page: str) -> list[str]:
    """Run a page's blocks; what went wrong, in words."""
    space: dict[str, Any] = {}
    printed, faults = "", []
    for block in blocks(page):
        if block.what == "file":
            Path(block.note).write_text(block.text, encoding="utf-8")
        if block.what == "not run":
            faults += unchecked(block)
        elif block.language == "python":
            exec(compile(block.text, "page", "exec", dont_inherit=True), space)
        elif block.language == "bash":
            printed = "".join(executed(words) for words in commands(block.text))
        elif block.language == "text" and block.what is None:
            faults += [f"not printed: {line}" for line in missing(block.text, printed)]
    return faults


def unchecked(block: Block) -> list[str]:
    """What is wrong with a block that is not run."""
    assert block.note, "say why it is not run"
    if block.language == "python":
        return unknown_imports(block.text)
    return [option for words in commands(block.text) for option in unknown_options(words)]


@pytest.mark.parametrize("path", PAGES, ids=[path.stem for path in PAGES])
def test_a_page_runs_and_prints_what_it_says(path: Path, here: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page.startswith("# ")
    ASSUMED.get(path.stem, lambda folder: None)(here)
    assert run_page(page) == []


def test_a_page_that_is_wrong_is_caught(here: Path) -> None:
    """The canaries: another output, a failing command, an option and a name that do not exist, a false assertion."""
    assert run_page("```bash\nnashlab solve rps\n```\n\n```text\n1 0.333333333333 1/3\n...\n```\n") == []
    assert run_page("```bash\nnashlab solve rps\n```\n\n```text\n1 0.333333333334 1/3\n```\n") != []
    assert run_page("<!-- not run: canary -->\n```bash\nnashlab solve rps --exactly\n```\n") == ["--exactly"]
    assert run_page("<!-- not run: canary -->\n```python\nfrom nashlab.game import Gmae\n```\n") == ["Gmae"]
    with pytest.raises(AssertionError, match="exit code 2"):
        run_page("```bash\nnashlab solve no-such-game\n```\n")
    with pytest.raises(AssertionError):
        run_page("```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError, match="mark its block"):
        run_page("```bash\nrm -r everything\n```\n")


def test_the_commands_of_the_readme_exist_and_its_python_runs(here: Path) -> None:
    found = blocks(README.read_text(encoding="utf-8"))
    shell = [words for block in found if block.language == "bash" for words in commands(block.text)]
    ours = [words for words in shell if words[0] in ("nashlab", "llm-bridge")]
    assert len(ours) >= 10
    assert [option for words in ours for option in unknown_options(words)] == []
    space: dict[str, Any] = {}
    for block in found:
        if block.language == "python":
            exec(compile(block.text, "README", "exec", dont_inherit=True), space)
    assert space["nash"](space["game"], 0.1).certificate.l1_bound < 1e-15


def test_every_task_has_its_page() -> None:
    tasks = {
        "rank_my_votes", "how_sure_is_it", "judge_my_loss", "train_my_model", "add_an_algorithm", "add_a_claim",
        "add_a_judge", "add_a_format", "run_on_four_gpus", "run_on_a_ray_cluster", "read_a_certificate",
        "reproduce_the_paper", "coming_from_trl", "coming_from_nashpy", "coming_from_gambit",
    }  # fmt: skip
    assert tasks <= {path.stem for path in PAGES}
    assert all(os.path.getsize(path) < 20_000 for path in PAGES), "one task a page"
