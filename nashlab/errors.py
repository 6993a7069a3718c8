"""What a user is told when something is wrong; nothing here needs numpy, so that a command line starts at once."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["BadInput", "first_line", "suggestion"]


class BadInput(ValueError):
    """Input that breaks a rule; the message names the argument, the entry and the rule."""

    __module__ = "nashlab.game"  # where users import it from, and tracebacks name it


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of an error about an unknown name: the most similar known name, if there is one.

    >>> suggestion("onlin-ipo", ["online-ipo", "omd"])
    "; did you mean 'online-ipo'?"
    >>> suggestion("dpo", ["spo", "offline-dpo", "online-dpo"])
    "; did you mean 'online-dpo'?"
    >>> suggestion("rspo", ["spo", "rspo-chi2", "rspo-renyi"])
    "; did you mean 'rspo-chi2'?"
    """
    from difflib import get_close_matches

    known = list(known)
    endings = sorted((whole for whole in known if name and whole.endswith(f"-{name}")), key=len)
    beginnings = sorted((whole for whole in known if name and whole.startswith(f"{name}-")), key=len)
    near = endings or beginnings or get_close_matches(name, known, n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else otherwise


def first_line(error: Exception) -> str:
    """The cause of another library's error, short enough for one of our messages.

    >>> first_line(OSError("no such model\\nTraceback ..."))
    'no such model'
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
