"""Questions to a server over HTTP: concurrent, rate-limited, with a limited number of retries."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llm_bridge.judges.answers import JudgeFailed
from nashlab.display import one_line
from nashlab.game import BadInput, first_line

__all__ = ["Server"]

AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes after which a server may answer later."""
LONGEST_WAIT = 60.0
Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass
class Server:
    """A server that takes JSON and answers with JSON.

    url         its address;  key  the environment variable with its key, if set.
    concurrent  open questions at a time;  rate  questions per second at most, 0: no limit.
    timeout     seconds to wait for an answer;  retries  per question after the first attempt.
    first_wait  seconds before the first retry; each further wait is twice as long, or as long as the server asks for.
    asked       the number of requests so far, including retries.

    Raises :class:`BadInput` for an invalid address and numbers out of range, and :class:`JudgeFailed` if the server
    does not answer after all retries, or refuses the question.
    """

    url: str
    key: str = "OPENAI_API_KEY"
    concurrent: int = 8
    timeout: float = 60.0
    retries: int = 5
    rate: float = 0.0
    first_wait: float = 0.5
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _next: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise BadInput(f"url = {self.url!r}, must begin with http:// or https://")
        for name, least in (("concurrent", 1), ("timeout", 1e-3), ("retries", 0), ("rate", 0), ("first_wait", 0)):
            if not getattr(self, name) >= least:
                raise BadInput(f"{name} = {getattr(self, name)}, must be at least {least:g}")

    def all(self, questions: Sequence[Question], ask: Callable[[Question], Answer]) -> list[Answer]:
        """``ask(question)`` for each, several at a time; the first failure stops the others."""
        failed = threading.Event()

        def one(question: Question) -> Answer:
            if failed.is_set():
                raise JudgeFailed("another question failed before")
            try:
                return ask(question)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(self.concurrent) as threads:
            found = [threads.submit(one, question) for question in questions]
        errors = [error for future in found if (error := future.exception()) is not None]
        if errors:  # the first genuine failure
            raise next((e for e in errors if "another question failed" not in str(e)), errors[0])
        return [future.result() for future in found]

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], Answer]) -> Answer:
        """``read`` applied to the answer; an answer that it cannot read (it raises LookupError, TypeError or
        ValueError) counts as a failed attempt."""
        trouble = ""
        for attempt in range(self.retries + 1):
            wait = min(LONGEST_WAIT, self.first_wait * 2.0**attempt)
            try:
                return read(json.loads(self._sent(path, body)))
            except urllib.error.HTTPError as error:
                said = error.read(500).decode("utf-8", "replace") or error.reason
                trouble = f"it said {error.code} {one_line(said)}"
                if error.code not in AGAIN:
                    hint = f"; is {self.key} set?" if error.code in (401, 403) else ""
                    raise JudgeFailed(f"{self._address(path)}: {trouble}{hint}") from error
                wait = _asked_wait(error, wait)
            except (OSError, http.client.HTTPException) as error:
                trouble = f"it cannot be reached ({one_line(getattr(error, 'reason', None) or error)})"
            except (LookupError, TypeError, ValueError) as error:
                trouble = f"its answer makes no sense ({type(error).__name__}: {first_line(error)})"
            if attempt < self.retries:
                time.sleep(wait)
        raise JudgeFailed(f"{self._address(path)}: {trouble}, {self.retries + 1} times")

    def _address(self, path: str) -> str:
        return self.url if self.url.endswith(path) else self.url.rstrip("/") + path

    def _sent(self, path: str, body: Mapping[str, Any]) -> bytes:
        self._wait_for_turn()
        headers = {"Content-Type": "application/json"}
        if os.environ.get(self.key):
            headers["Authorization"] = f"Bearer {os.environ[self.key]}"
        request = urllib.request.Request(self._address(path), json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            found: bytes = answer.read()
        return found

    def _wait_for_turn(self) -> None:
        with self._lock:
            self.asked += 1
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + (1 / self.rate if self.rate else 0.0)
        time.sleep(max(0.0, turn - now))


def _asked_wait(error: urllib.error.HTTPError, otherwise: float) -> float:
    try:
        return min(LONGEST_WAIT, max(0.0, float(error.headers.get("Retry-After", ""))))
    except (TypeError, ValueError, AttributeError):
        return otherwise
