"""Coverage-guided fuzzing with Atheris: every input must end in an answer or in one line, in at most 10 seconds.

    python tests/fuzz/fuzz.py --inputs 100000                 # all four kinds, one after the other
    python tests/fuzz/fuzz.py --inputs 100000 --only answers

Prints the counts and the slowest input as one JSON value for each kind.  Inputs that fail are kept in --out, one for
each place in the code where they fail; exit code 1 if there are any.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
COVERED = ("nashlab.certify", "nashlab.votes", "nashlab.cli", "nashlab.game", "nashlab.gallery",
           "nashlab.sweep", "nashlab.settings", "nashlab.algorithm")  # fmt: skip
STUCK = 120  # seconds after which an input that Python cannot interrupt ends the process
LONGEST = 2**17  # bytes of an input
KINDS = ("answers", "games", "references", "commands")


class Campaign:
    """Judges inputs, counts how they end, and keeps the first that fails at each place."""

    def __init__(self, kind: str, out: Path):
        import targets

        self.target, self.judged = targets.TARGETS[kind], targets.judged
        self.kind, self.out = kind, out
        self.ends: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.slowest, self.began = 0.0, time.monotonic()
        # written in place: to close a file that was cut off takes a disk longer than most inputs take
        self.current = os.open(out / f"{kind}.current", os.O_RDWR | os.O_CREAT)

    def one(self, data: bytes) -> None:
        os.pwrite(self.current, data, 0)
        os.ftruncate(self.current, len(data))
        faulthandler.dump_traceback_later(STUCK, exit=True)
        began = time.perf_counter()
        try:
            self.ends[self.judged(self.target, data)[0]] += 1
        except BaseException as error:
            self.keep(error, data)
        seconds = time.perf_counter() - began
        if seconds > self.slowest:
            self.slowest = seconds
            (self.out / f"{self.kind}.slowest").write_bytes(data)
        done = sum(self.ends.values()) + sum(self.faults.values())
        if done % 1000 == 0:
            print(f"{time.monotonic() - self.began:.0f} s {self.told()}", file=sys.stderr, flush=True)

    def keep(self, error: BaseException, data: bytes) -> None:
        steps = [s for s in traceback.extract_tb(error.__traceback__) if "nashlab" in s.filename] or [None]
        where = f"{Path(steps[-1].filename).name}:{steps[-1].lineno}" if steps[-1] else "?"
        name = f"{type(error).__name__} at {where}"
        self.faults[name] += 1
        if self.faults[name] == 1:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            (self.out / f"{self.kind}.{digest}.input").write_bytes(data)
            (self.out / f"{self.kind}.{digest}.txt").write_text(
                name + "\n" + "".join(traceback.format_exception(error)), "utf-8", "backslashreplace"
            )

    def told(self) -> str:
        done = sum(self.ends.values()) + sum(self.faults.values())
        counts: dict[str, Any] = {"kind": self.kind, "inputs": done, **self.ends}
        seconds = {"slowest": round(self.slowest, 2), "seconds": round(time.monotonic() - self.began)}
        return json.dumps({**counts, **seconds, "faults": dict(self.faults)})


def fuzz(kind: str, inputs: int, seed: int, out: Path) -> None:
    """Fuzz one kind in this process, which ends with it."""
    import atheris

    from nashlab.equilibrium import lottery_batch

    lottery_batch([[0, 0.5], [-0.5, 0]])  # compiled now: what Atheris has changed cannot be

    with atheris.instrument_imports(include=list(COVERED)):
        import nashlab.certify
        import nashlab.cli
        import nashlab.gallery
        import nashlab.sweep  # noqa: F401
    import targets

    campaign = Campaign(kind, out)
    corpus = out / f"{kind}.corpus"
    corpus.mkdir(exist_ok=True)
    for i, data in enumerate(campaign.target.seeds()):
        (corpus / f"seed{i}").write_bytes(data)

    def mutate(data: bytes, size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 0.1:
            return bytes(atheris.Mutate(data, size))
        return campaign.target.mutate(data, rng)[:size]

    def one(data: bytes) -> None:
        campaign.one(data)
        if sum(campaign.ends.values()) + sum(campaign.faults.values()) >= inputs:
            faulthandler.cancel_dump_traceback_later()
            print(campaign.told(), flush=True)
            targets.scratch_away()  # libFuzzer never returns
            os._exit(1 if campaign.faults else 0)

    flags = [f"-seed={seed}", f"-max_len={LONGEST}", "-len_control=0", f"-timeout={2 * STUCK}", "-rss_limit_mb=6000"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    """Run each kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz-out"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.here:
        fuzz(given.only, given.inputs, given.seed, given.out.resolve())
    codes = []
    for kind in [given.only] if given.only else KINDS:
        words = ["--here", "--only", kind, "--inputs", str(given.inputs), "--seed", str(given.seed)]
        done = subprocess.run([sys.executable, __file__, *words, "--out", str(given.out)], check=False)
        codes.append(done.returncode)
        if done.returncode not in (0, 1):
            print(f"{kind}: the process ended with {done.returncode} on {given.out / kind}.current", file=sys.stderr)
    sys.exit(1 if any(codes) else 0)


if __name__ == "__main__":
    main()
