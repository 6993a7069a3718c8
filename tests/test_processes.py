"""Worker processes end with the one that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from nashlab.processes import process_pool

WORK = """
import os, sys, time
from pathlib import Path
{imports}
def work(folder):
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(60)
if __name__ == "__main__":
    {pool}
        for _ in range(4):
            pool.submit(work, sys.argv[1])
        time.sleep(60)
"""
OURS = {"imports": "from nashlab.processes import process_pool", "pool": "with process_pool(2) as pool:"}
PLAIN = {"imports": "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context",
         "pool": "with ProcessPoolExecutor(2, mp_context=get_context('spawn')) as pool:"}  # fmt: skip


def survives(folder: Path, how: dict[str, str]) -> list[int]:
    """Workers that are still there two seconds after their parent was killed."""
    script = folder / "work.py"
    script.write_text(WORK.format(**how))
    (folder / "seen").mkdir()
    process = subprocess.Popen([sys.executable, str(script), str(folder / "seen")], start_new_session=True)
    limit = time.monotonic() + 60
    while len(list((folder / "seen").iterdir())) < 2:
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.kill()
    process.wait()
    workers = [int(p.name) for p in (folder / "seen").iterdir()]
    limit = time.monotonic() + 2
    while any(map(runs, workers)) and time.monotonic() < limit:
        time.sleep(0.02)
    left = [pid for pid in workers if runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return left


def runs(pid: int) -> bool:
    """Whether a process is there, and not only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    for name in ("ours", "plain"):
        (tmp_path / name).mkdir()
    assert survives(tmp_path / "ours", OURS) == []
    assert len(survives(tmp_path / "plain", PLAIN)) == 2  # canary


def test_work_that_has_not_begun_is_cancelled_by_an_exception() -> None:
    futures: list[Future[None]] = []

    def fails() -> None:
        with process_pool(1) as pool:
            futures.extend(pool.submit(time.sleep, 0.2) for _ in range(20))
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    # one runs, and one or two wait where they can no longer be called back
    assert sum(not future.cancelled() for future in futures) <= 3


def test_a_worker_is_made_ready_first() -> None:
    with process_pool(1, ready=ready) as pool:
        assert pool.submit(os.getenv, "NASHLAB_READY").result() == "yes"


def ready() -> None:
    os.environ["NASHLAB_READY"] = "yes"


PLACES = {"loading": ("wait()", "pass"), "running": ("pass", "wait()")}
PROGRAM = """
import time
def wait():
    print("here", flush=True)
    time.sleep(30)
{0}
def main():
    {1}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
@pytest.mark.parametrize("code", ["from nashlab.start import begin; begin('slow')", "import slow; slow.main()"])
@pytest.mark.parametrize("place", PLACES)
def test_a_program_that_is_being_loaded_ends_by_ctrl_c_without_a_traceback(
    place: str, code: str, tmp_path: Path
) -> None:
    """Once it runs, Python hears Ctrl-C again; without :func:`begin`, a traceback is printed in both places."""
    (tmp_path / "slow.py").write_text(PROGRAM.format(*PLACES[place]))
    about = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); {code}"]
    process = subprocess.Popen(command, env=about, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == -signal.SIGINT
    assert ("KeyboardInterrupt" in error) == (place == "running" or "begin" not in code)
