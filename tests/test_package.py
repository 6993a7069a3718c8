"""What installs and starts: versions, the import path on other systems, what an issue needs, completion, pictures."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import llm_bridge
import nashlab
from nashlab import cli, pictures
from nashlab.files import read_bytes
from nashlab.gallery import GALLERY, get
from nashlab.game import BadInput
from nashlab.report import book_links, verify_page, write_verify_report

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> subprocess.CompletedProcess[str]:
    about = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=about)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    assert not end.value.code
    return capsys.readouterr().out


def test_every_place_names_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    assert nashlab.__version__ == llm_bridge.__version__ == version
    for file, words in {
        "CITATION.cff": f"\nversion: {version}\n",
        "CHANGELOG.md": f"\n## {version}, ",
        ".github/conda/meta.yaml": f'version = "{version}"',
    }.items():
        assert words in (ROOT / file).read_text(encoding="utf-8"), file


def test_the_conda_recipe_asks_for_the_same_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = (ROOT / ".github" / "conda" / "meta.yaml").read_text(encoding="utf-8")
    run_part = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    asked = {name.removesuffix("-base"): bound for name, bound in re.findall(r"- (\S+) (>=\S+)", run_part)}
    wanted = dict(re.fullmatch(r"([\w.-]+)(>=.*)", text).groups() for text in project["dependencies"])  # type: ignore[union-attr]
    assert asked == wanted | {"python": project["requires-python"]}


POSIX = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "posix_ipc", "syslog")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "nashlab").rglob("*.py")
    if path.stem not in ("worker", "__main__")
)
LIBRARIES = "import jax, matplotlib.pyplot, pytest"  # they know the system they run on; what they load of it is theirs
ELSEWHERE = """
import os, signal, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {posix!r}:
            raise ModuleNotFoundError(name)
{libraries}
for name in {posix!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for name in ("O_NONBLOCK", "O_CLOEXEC", "fork", "getuid", "geteuid", "uname"):
    vars(os).pop(name, None)
for name in ("pthread_sigmask", "SIGKILL", "SIGALRM", "SIGHUP", "setitimer"):
    vars(signal).pop(name, None)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
{then}
"""


def test_no_module_needs_a_posix_system() -> None:
    """All of nashlab is imported where those modules, flags and signals are absent, and a game is read and solved."""
    then = "from nashlab.cli import main; main(['solve', 'rps', '--json'])"
    result = python(ELSEWHERE.format(posix=POSIX, modules=MODULES, libraries=LIBRARIES, then=then))
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout)["policy_exact"] == ["1/3", "1/3", "1/3"]
    canary = python(ELSEWHERE.format(posix=POSIX, modules=["json"], libraries="", then="import fcntl"))
    assert "ModuleNotFoundError: fcntl" in canary.stderr


def test_files_are_read_where_no_flag_but_reading_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nashlab.files.READING", os.O_RDONLY)
    (tmp_path / "a").write_bytes(b"1\r\n2")
    assert read_bytes(tmp_path / "a", 10) == b"1\r\n2"


def test_importing_the_package_or_asking_for_help_loads_no_numpy() -> None:
    loaded = "print('numpy' in sys.modules, 'rich' in sys.modules, file=sys.stderr)"
    helped = "try:\n    nashlab.cli.main(['--help'])\nexcept SystemExit:\n    pass"
    for code in ("import nashlab", f"import nashlab.cli\n{helped}"):
        assert python(f"import sys\n{code}\n{loaded}").stderr == "False False\n"
    assert nashlab.PreferenceGame is nashlab.game.PreferenceGame  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="no attribute 'PreferenceGmae'"):
        nashlab.PreferenceGmae  # type: ignore[attr-defined]  # noqa: B018


def test_what_an_issue_needs_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "about")
    assert f"nashlab {nashlab.__version__}\npython " in text
    assert f"\nnumpy {np.__version__}\n" in text
    assert str(Path.home()) not in text
    content = json.loads(run(capsys, "about", "--json"))
    assert content["packages"]["numpy"] == np.__version__
    assert run(capsys, "--version") == f"nashlab {nashlab.__version__}\n"


def test_a_shell_completes_commands_and_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(run(capsys, "completion", "bash"), encoding="utf-8")

    def completed(*words: str) -> set[str]:
        given = " ".join(f"'{word}'" for word in words)
        line = f"COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _tyro_nashlab; echo ${{COMPREPLY[@]}}"
        command = ["bash", "-c", f"source {script}; {line}"]
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert completed("nashlab", "so") == {"solve"}
    assert {"--tau", "--exact"} <= completed("nashlab", "solve", "--")


@pytest.mark.parametrize("program", ["nashlab", "llm_bridge"])
def test_help_has_one_line_about_each_command(
    program: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its whole first sentence, where the terminal is wide enough; a typing error is answered in one line."""
    monkeypatch.setenv("COLUMNS", "300")
    module = importlib.import_module(f"{program}.cli")
    with pytest.raises(SystemExit) as end:
        module.main(["--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    functions = module.commands.functions()
    for name, function in functions.items():
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        first = (function.__doc__ or "").split("\n\n")[0]
        assert " ".join(line.split()[1:]) == " ".join(first.split())
        assert first.rstrip().endswith(".")
    assert len([line for line in lines if line.startswith("  ")]) == len(functions)
    with pytest.raises(SystemExit) as end:
        module.main(["verfy"])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith("; did you mean 'verify'?\n")
    refused = (([], "a command is missing"), (["--version", "x"], "'x'"), (["--tau", "1"], "before its options"))
    for wrong, words in refused:
        with pytest.raises(SystemExit) as end:
            module.main(wrong)
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    with pytest.raises(SystemExit) as end:
        module.main(["--help", "about"])
    assert end.value.code == 0
    assert f"Example: {module.commands.program} about" in capsys.readouterr().out


def test_one_wheel_holds_both_packages_and_their_data(tmp_path: Path) -> None:
    """Built without a network, by the setuptools that is here; with types, templates, tables and configurations."""
    pytest.importorskip("setuptools", minversion="77")
    source = tmp_path / "source"
    without = shutil.ignore_patterns("__pycache__")
    for package in ("nashlab", "llm_bridge"):
        shutil.copytree(ROOT / package, source / package, ignore=without)
    for file in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / file, source)
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    command = [sys.executable, "-m", "pip", "wheel", "-q", *offline, "-w", "dist", "."]
    result = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    assert wheel.name == f"nashlab-{nashlab.__version__}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "nashlab/py.typed", "llm_bridge/py.typed", "nashlab/data/soundquality.csv", "nashlab/report/gallery.html",
        "nashlab/report/style.css", "llm_bridge/configs/demo.toml", "llm_bridge/moved/trainer.py",
    } <= names  # fmt: skip
    assert not [name for name in names if name.startswith(("tests", "notebooks", "proofs"))]


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(GALLERY))
def test_a_picture_shows_who_beats_whom(name: str) -> None:
    game = get(name)
    cells = pictures.cells_of(game)
    assert np.allclose(cells, -cells.T)
    assert len(cells) == min(pictures.LARGEST, (game.prompt(0) if game.batch else game).n)
    drawn = pictures.svg(cells)
    assert drawn.count("<rect") == cells.size
    if not game.batch and game.n <= pictures.LARGEST:
        wins = re.findall(r'x="(\d+)" y="(\d+)" [^>]*fill="#0072b2"', drawn)
        assert {(int(y), int(x)) for x, y in wins} == set(zip(*map(list, np.nonzero(cells == 1)), strict=True))
    lines = pictures.signs(cells).split("\n")
    assert [len(line) for line in lines] == [len(cells)] * len(cells)
    assert all((lines[i][j] == "+") == (cells[i, j] >= pictures.FAINT) for i, j in np.ndindex(cells.shape))
    assert pictures.coloured(cells).plain.count("▀") == len(cells) * ((len(cells) + 1) // 2)


def test_the_gallery_shows_its_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = run(capsys, "gallery", "--html", str(tmp_path / "gallery.html"))
    assert re.search(r"·\+-\s+rps ", text)
    page = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert page.count("<svg") == len(GALLERY)
    assert all(f"<b>{name}</b>" in page for name in GALLERY)
    (tmp_path / "gallery.html").unlink()
    assert len(json.loads(run(capsys, "gallery", "--json", "--html", str(tmp_path / "gallery.html")))) == len(GALLERY)
    assert (tmp_path / "gallery.html").exists()
    for wrong in (tmp_path, tmp_path / "no" / "gallery.html"):
        with pytest.raises(SystemExit, match="2"):
            cli.main(["gallery", "--html", str(wrong)])
        assert "must be a file in a folder that exists" in capsys.readouterr().err


# -- reports link to the book ------------------------------------------------------------------------------------------


def test_a_book_that_is_not_there_is_refused_and_one_that_is_there_is_found(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no book; build one"):
        write_verify_report(tmp_path, [row("E2")], {"samples": 1, "seed": 0}, {}, book=str(tmp_path / "nowhere"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "book" / "theory").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    write_verify_report(tmp_path / "out", [row("E2")], {"samples": 1, "seed": 0}, {}, book=str(tmp_path / "book"))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'href="../book/theory/equilibria.html#E2"' in page


def row(id: str) -> Any:
    result = {"statement": "π* = μ", "status": "pass", "worst_error": 0.0, "tolerance": 1.0, "cases": 1, "seconds": 0.0}
    return SimpleNamespace(id=id, excess=0.0, counterexample=None, measured=None, **result)


def test_each_statement_of_a_report_links_to_its_place_in_the_book() -> None:
    rows = [row(id) for id in ("E6b", "L2.iv", "N14", "S1", "E1 coq", "closed.pretrained")]
    links = book_links(rows, "https://example.org/book")
    theory = {"E6b": "equilibria", "L2": "losses", "N14": "beyond_the_papers", "S1": "social_choice"}
    theory["E1"] = "equilibria"
    assert list(links.values()) == [f"https://example.org/book/theory/{page}.html#{id}" for id, page in theory.items()]
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "notebooks" / "theory").glob("*.md")}
    assert all(f"{{statements}} {id[0]}\n" in pages[page] for id, page in theory.items())
    written = verify_page(rows, {"samples": 1, "seed": 0}, [], "here", links)
    assert '<a href="https://example.org/book/theory/losses.html#L2">L2.iv</a>' in written
    assert "<td>closed.pretrained</td>" in written
    assert written.count("<math") == len(rows)
    assert "sphinx notebooks build/book" in verify_page(rows, {"samples": 1, "seed": 0}, [], "here", {})
