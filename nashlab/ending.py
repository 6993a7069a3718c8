"""How a command ends: the right exit code and, unless it is 0, one line on stderr."""

from __future__ import annotations

import _thread
import atexit
import functools
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nashlab.errors import first_line

__all__ = ["ending"]

# Windows has none; there a call of the system that waits is not woken
PTHREAD_KILL: Callable[[int, int], None] | None = getattr(signal, "pthread_kill", None)


def ending(program: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of an entry point: exit code 130 for Ctrl-C and SIGTERM, 2 for errors of the system."""

    def decorated(main: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(main)
        def command(*arguments: Any) -> Any:
            _deaf_at_exit()
            with _stopped_by_sigterm(), _short_warnings(program):
                try:
                    return main(*arguments)
                except KeyboardInterrupt:
                    _end(130, f"{program}: interrupted; what is finished is kept")
                except BrokenPipeError:  # the reader of our output has gone: nobody to tell
                    sys.stderr.close()
                    sys.exit(0)
                except OSError as error:
                    _end(2, f"{program}: {first_line(error)}")

        return command

    return decorated


def _end(code: int, line: str) -> None:
    print(line, file=sys.stderr)
    sys.exit(code)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Treat SIGTERM, which a scheduler sends before it kills, like Ctrl-C, so that files are left in order.

    In a callback of the garbage collector or a finaliser, Python reports what is raised and goes on: an interruption
    that comes there is sent again until it is heard elsewhere.
    """
    main, heard, report = threading.get_ident(), threading.Event(), sys.unraisablehook
    senders: list[threading.Thread] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not heard.is_set():  # a second one would cut off what the first has begun
            heard.set()
            raise KeyboardInterrupt

    def send() -> None:
        while not heard.wait(0.02):
            if PTHREAD_KILL is None:
                _thread.interrupt_main(signal.SIGTERM)
            else:
                PTHREAD_KILL(main, signal.SIGTERM)

    def swallowed(about: Any) -> None:
        if not issubclass(about.exc_type, KeyboardInterrupt):
            return report(about)
        heard.clear()
        senders.append(threading.Thread(target=send, daemon=True))
        senders[-1].start()

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    sys.unraisablehook = swallowed
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.unraisablehook = report
        heard.set()
        for thread in senders:
            thread.join()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _short_warnings(program: str) -> Iterator[None]:
    """Print a warning as one line without the source location; likewise a system error in a thread."""
    format_before, hook_before = warnings.formatwarning, threading.excepthook

    def failed(about: Any) -> None:
        if isinstance(about.exc_value, OSError):
            print(f"{program}: warning: {first_line(about.exc_value)}", file=sys.stderr)
        else:
            hook_before(about)

    warnings.formatwarning = lambda message, *rest, **more: f"{program}: warning: {message}\n"
    threading.excepthook = failed
    try:
        yield
    finally:
        warnings.formatwarning, threading.excepthook = format_before, hook_before


@functools.cache
def _deaf_at_exit() -> None:
    """Ignore Ctrl-C during exit, when it would print a library's traceback; registered first, this handler runs after
    all later ones."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
