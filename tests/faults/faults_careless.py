"""The canary: a command that does everything wrong, and which the campaign must find guilty under every fault."""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(out: Path) -> None:
    """Ten files of a hundred numbers and their sum: written in place, never checked, no error or signal handled."""
    began = time.time()
    out.mkdir(exist_ok=True)
    for k in range(10):
        path = out / f"part-{k}.txt"
        if not path.exists():
            path.touch()
            with path.open("w") as file:
                for i in range(100):
                    print(i * k + int(time.time() < began), file=file, flush=True)
                    time.sleep(0.0005)
    total = sum(int(line) for path in sorted(out.glob("part-*")) for line in path.read_text().splitlines())
    (out / "sum.txt").write_text(str(total))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
