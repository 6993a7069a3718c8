"""The process that runs a user's code:  python -m nashlab.check.worker PATH NAME TAU BYTES

It reads frames of pairs from standard input and answers with frames of losses and derivatives.  A frame is a line of
JSON followed by the float64 columns that it names.  Output of the user's code goes to stderr; the system limits its
memory.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nashlab.processes import limit_memory

__all__ = ["read_frame", "write_frame"]


def write_frame(stream: BinaryIO, header: Mapping[str, Any], columns: Mapping[str, NDArray[np.float64]]) -> None:
    """One frame: the header with the columns' names and length, a line break, the columns."""
    length = len(next(iter(columns.values()))) if columns else 0
    line = json.dumps({**header, "columns": list(columns), "length": length}).encode() + b"\n"
    stream.write(b"".join([line, *(np.asarray(column, dtype="<f8").tobytes() for column in columns.values())]))
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]] | None:
    """The next frame, or None if the other side has closed or ended in the middle of one."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    header = json.loads(line)
    size, columns = 8 * header["length"], {}
    for name in header["columns"]:
        data = stream.read(size)
        if len(data) != size:
            return None
        columns[name] = np.frombuffer(data, dtype="<f8")
    return header, columns


def main(path: str, name: str, tau: str, memory: str) -> None:
    """Load the function and answer until standard input closes."""
    answers = os.fdopen(os.dup(1), "wb")
    questions = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    os.close(0)
    from nashlab.check.evaluation import Fault, loss_of, told
    from nashlab.check.loading import load
    from nashlab.game import BadInput

    limit_memory(int(memory))
    loss = None
    try:
        title, function, form = load((Path(path), name or None))
        temperature = float(tau) if tau else form.tau if form.tau is not None else DEFAULT_TAU
        about = {
            "name": title, "tau": temperature, "arguments": form.arguments, "optional": form.optional,
            "spec": vars(form.spec), "summary": (function.__doc__ or "").strip().split("\n")[0],
        }  # fmt: skip
        write_frame(answers, about, {})
        loss = loss_of(function, form, temperature)
        write_frame(answers, {"framework": loss.framework, "reduction": loss.reduction}, {})
    except BadInput as error:
        return write_frame(answers, {"bad_input": str(error)}, {})
    except Fault as fault:
        return write_frame(answers, {"fault": fault.what, "input": fault.input}, {})
    except (Exception, SystemExit) as error:
        return write_frame(answers, {"fault": _on_loading(error, path), "input": None}, {})
    while (frame := read_frame(questions)) is not None:
        header, columns = frame
        try:
            if header["values"]:
                found = vars(loss(columns, header["tau"], tails=header["tails"]))
            else:
                found = dict(zip(("chosen", "rejected"), loss.slopes(columns, header["tau"]), strict=True))
            write_frame(answers, {}, found)
        except Fault as fault:
            write_frame(answers, {"fault": fault.what, "input": fault.input}, {})
        except (Exception, SystemExit) as error:
            write_frame(answers, {"fault": told(error, function), "input": "whole"}, {})


DEFAULT_TAU = 0.5


def _on_loading(error: BaseException, path: str) -> str:
    import traceback

    if isinstance(error, SyntaxError):
        return f"could not be loaded: the file is not Python, {error.msg} (line {error.lineno})"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    place = f" (line {lines[-1]})" if lines else ""
    return f"could not be loaded: the file raised {type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


if __name__ == "__main__":
    main(*sys.argv[1:])
