"""What the campaign has found, each fault as a small test of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nashlab.cli import main
from nashlab.files import alone, replacing
from nashlab.sweep import read_sweep, run_sweep

SWEEP = """
games = ["rps-weighted"]
algorithms = ["omd"]
temperatures = [0.2, 1.0]
step_sizes = [0.1]
steps = 10
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SWEEP)
    return path


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def one_line(words: list[str], capsys: pytest.CaptureFixture[str], command: Callable[[list[str]], None] = main) -> str:
    """What a command that is refused says."""
    with pytest.raises(SystemExit) as stopped:
        command(words)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


# -- one line, the right exit code -----------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_one_line(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = one_line(["sweep", str(config), "--out", str(config / "out")], capsys)
    assert re.fullmatch(r"nashlab: .*Not a directory: '.*small.toml/out.*'", line)


def test_a_full_disk_is_one_line_and_nothing_half_written(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", str(arguments[-1]))

    monkeypatch.setattr(os, "replace", full)
    line = one_line(["sweep", str(config), "--out", str(tmp_path / "out")], capsys)
    assert "No space left on device" in line
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.suffix in (".part", ".json", ".parquet")] == []


STOPPED = """
import os, signal, sys, time
from nashlab.ending import ending
@ending("nashlab")
def main():
    os.kill(os.getpid(), int(sys.argv[1]))
    time.sleep(60)
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_one_line_and_exit_code_130(number: int) -> None:
    words = [sys.executable, "-c", STOPPED, str(int(number))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr == "nashlab: interrupted; what is finished is kept\n"


SWALLOWED = """
import gc, os, signal, sys, time
if sys.argv[2] == "windows":
    del signal.pthread_kill
from nashlab.ending import ending
def stop(phase, about):
    if phase == "start":
        gc.callbacks.clear()
        os.kill(os.getpid(), int(sys.argv[1]))
@ending("nashlab")
def main():
    gc.callbacks.append(stop)
    gc.collect()
    for _ in range(100):
        time.sleep(0.05)
    print("went on")
main()
"""


@pytest.mark.parametrize("system", ["here", "windows"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_of_the_collector_is_not_swallowed(number: int, system: str) -> None:
    """Python reports what a callback of the garbage collector raises (jax has one) and goes on; a signal must not, also
    where a thread cannot be sent one."""
    words = [sys.executable, "-c", SWALLOWED, str(int(number)), system]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "nashlab: interrupted; what is finished is kept\n"


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_a_figure_written_twice_has_the_same_bytes(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    from nashlab.plots.style import save

    written = []
    for when in ("1000000000", "1100000000"):  # what a PDF takes for the time of day
        monkeypatch.setenv("SOURCE_DATE_EPOCH", when)
        figure = Figure()
        figure.subplots().plot([0, 1], [1, 0], marker="o")
        save(figure, tmp_path / f"figure{suffix}")
        written.append((tmp_path / f"figure{suffix}").read_bytes())
    assert written[0] == written[1]


def test_what_cannot_be_removed_does_not_hide_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that turned read-only, removing the unfinished file fails as well."""

    def fails(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fails)
    with pytest.raises(KeyError, match="first"), replacing(tmp_path / "x"):
        raise KeyError("first")


# -- sweeps ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default::RuntimeWarning")
@pytest.mark.parametrize("harm", ["cut", "flip"])
def test_a_damaged_part_of_a_sweep_is_run_again(config: Path, tmp_path: Path, harm: str) -> None:
    sweep = read_sweep(config)
    whole = run_sweep(sweep, tmp_path / "out").read_bytes()
    part = min((tmp_path / "out" / "parts").iterdir())
    if harm == "cut":
        os.truncate(part, part.stat().st_size // 2)
    else:  # in the middle of a number: the file can still be read
        flip(part, part.read_bytes().index(b"PAR1") + 40)
    with pytest.warns(RuntimeWarning, match=f"{part.name} is damaged and is run again"):
        assert run_sweep(sweep, tmp_path / "out", resume=True).read_bytes() == whole
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 2


@pytest.mark.filterwarnings("default::RuntimeWarning")
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_description_of_a_sweep_is_no_traceback(config: Path, tmp_path: Path, content: bytes) -> None:
    sweep = read_sweep(config)
    whole = run_sweep(sweep, tmp_path / "out").read_bytes()
    (tmp_path / "out" / "sweep.json").write_bytes(content)
    moments = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "parts").iterdir()}
    with pytest.warns(RuntimeWarning, match="sweep.json is damaged and is written again"):
        assert run_sweep(sweep, tmp_path / "out", resume=True).read_bytes() == whole
    assert moments == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / "parts").iterdir()}


def test_parts_of_another_configuration_are_not_taken_for_ones_own(config: Path, tmp_path: Path) -> None:
    """Also where nothing tells any more which configuration they belong to."""
    run_sweep(read_sweep(config), tmp_path / "out")
    (tmp_path / "out" / "sweep.json").unlink()
    config.write_text(SWEEP.replace("steps = 10", "steps = 20"))
    sweep = read_sweep(config)
    mixed = run_sweep(sweep, tmp_path / "out", resume=True).read_bytes()
    assert mixed == run_sweep(sweep, tmp_path / "alone").read_bytes()


def test_two_processes_do_not_write_into_one_folder(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    with alone(tmp_path / "out"):
        line = one_line(["sweep", str(config), "--out", str(tmp_path / "out")], capsys)
        assert re.fullmatch("nashlab: .*out is being written by another process", line)
        line = one_line(["verify", "--claims", "L1", "--samples", "1", "--out", str(tmp_path / "out")], capsys)
        assert "is being written by another process" in line
    run_sweep(read_sweep(config), tmp_path / "out")


# -- worker processes ------------------------------------------------------------------------------------------------

POOL = """
import os, signal, sys, time
from pathlib import Path
from concurrent.futures import as_completed
from nashlab.ending import ending
from nashlab.processes import process_pool
def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)
@ending("nashlab")
def main():
    with process_pool(2) as pool:
        for done in as_completed([pool.submit(work, sys.argv[1]) for _ in range(4)]):
            done.result()
    return 0
if __name__ == "__main__":
    main()
"""


Stop = Callable[["subprocess.Popen[str]", list[int]], object]


def pool_with(folder: Path, stop: Stop, moment: float = 60) -> tuple[int, str]:
    """Exit code and words of two workers that are stopped once both are at work, or at some moment before."""
    (folder / "work.py").write_text(textwrap.dedent(POOL))
    (folder / "seen").mkdir()
    process = subprocess.Popen([sys.executable, str(folder / "work.py"), str(folder / "seen")], text=True,
                               stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
    limit = time.monotonic() + moment
    while len(seen := list((folder / "seen").iterdir())) < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    stop(process, [int(p.name) for p in seen])
    _, words = process.communicate(timeout=30)
    return process.returncode, words


def test_ctrl_c_stops_workers_without_a_word(tmp_path: Path) -> None:
    code, words = pool_with(tmp_path, lambda process, workers: os.killpg(process.pid, signal.SIGINT))
    assert (code, words) == (130, "nashlab: interrupted; what is finished is kept\n")


def test_sigterm_stops_workers_as_well(tmp_path: Path) -> None:
    began = time.monotonic()
    code, words = pool_with(tmp_path, lambda process, workers: process.terminate())
    assert (code, words) == (130, "nashlab: interrupted; what is finished is kept\n")
    assert time.monotonic() - began < 20  # the work itself takes a minute


def test_a_worker_that_was_killed_is_one_line(tmp_path: Path) -> None:
    code, words = pool_with(tmp_path, lambda process, workers: os.kill(workers[0], signal.SIGKILL))
    assert (code, words) == (2, "nashlab: a worker process was killed (out of memory?); what is finished is kept\n")


THREAD = """
import threading, sys, time
from nashlab.ending import ending
@ending("nashlab")
def main():
    thread = threading.Thread(target=open, args=("/nowhere/at/all",))
    thread.start()
    thread.join()
    print(threading.excepthook is threading.__excepthook__)
main()
print(threading.excepthook is threading.__excepthook__)
"""


def test_what_the_system_refuses_to_a_thread_is_one_line() -> None:
    """TensorBoard writes in a thread of its own; on a full disk that was a traceback."""
    done = subprocess.run([sys.executable, "-c", THREAD], capture_output=True, text=True, check=True)
    assert done.stderr == "nashlab: warning: [Errno 2] No such file or directory: '/nowhere/at/all'\n"
    assert done.stdout.split() == ["False", "True"]
