"""How both programs begin: while their command is being loaded, Ctrl-C ends them without a traceback."""

from __future__ import annotations

import importlib
import signal

__all__ = ["begin"]


def begin(module: str) -> None:
    """Load a module and call its ``main``; until then Ctrl-C ends the process as it ends one that is not Python's."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where the shell has asked us to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = importlib.import_module(module).main
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    main()
