"""A served language model as a judge, over OpenAI's protocol, also spoken by vLLM, llama.cpp and Ollama."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_bridge.judges.judge import Texts
from llm_bridge.judges.server import Server
from nashlab.game import BadInput

__all__ = ["QUESTION", "ServedModel"]

QUESTION = """Which answer to the prompt is better?

[Prompt]
{prompt}

[Answer A]
{left}

[Answer B]
{right}

Say A, B, or C if neither is better. Say nothing else."""

VERDICTS = {"A": 1.0, "B": 0.0, "C": 0.5}
PLACES = ("{prompt}", "{left}", "{right}")


@dataclass
class ServedModel:
    """q(left ≻ right | prompt) from a served model's answer: 1 for A, 0 for B, ½ for C, None for anything else.

    If the server returns log-probabilities of its first token (``request={"logprobs": True, "top_logprobs": 5}``) it
    is (P(A) + ½ P(C)) / (P(A) + P(B) + P(C)) instead.  Such judges favour a position, so wrap this one in a
    :class:`llm_bridge.judges.FunctionJudge`, which asks both orders; the name "http:URL" does so.

    url       of the server, such as http://localhost:8000/v1;  model  its name there.
    question  with {prompt}, {left} and {right}.
    cache     a file that remembers answers, so that nothing is paid for twice; a resumed run asks it first.
    request   further fields of a request, added to temperature = 0 and max_tokens = 16; None removes one.
    key, concurrent, timeout, retries, rate   see :class:`llm_bridge.judges.Server`.
    nonsense  the number of answers other than A, B and C.
    """

    url: str
    model: str = ""
    question: str = QUESTION
    cache: str | Path | None = None
    request: Mapping[str, Any] = field(default_factory=dict)
    key: str = "OPENAI_API_KEY"
    concurrent: int = 8
    timeout: float = 60.0
    retries: int = 5
    rate: float = 0.0
    nonsense: int = 0

    def __post_init__(self) -> None:
        for place in PLACES:
            if place not in self.question:
                raise BadInput(f"question must hold {', '.join(PLACES)}, has no {place}")
        self.server = Server(self.url, self.key, self.concurrent, self.timeout, self.retries, self.rate)
        self._cache = None if self.cache is None else _Cache(Path(self.cache))

    def __call__(self, prompts: Texts, left: Texts, right: Texts) -> list[float | None]:
        """q of each, [B]."""
        bodies = [self._body(*triple) for triple in zip(prompts, left, right, strict=True)]
        keys = [_key(self.url, body) for body in bodies]
        known = self._cache.known(keys) if self._cache is not None else {}
        new = [i for i, key in enumerate(keys) if key not in known]
        answers = self.server.all(new, lambda i: self._asked(keys[i], bodies[i]))
        self.nonsense += sum(answer is None for answer in answers)
        found = known | {keys[i]: answer for i, answer in zip(new, answers, strict=True)}
        return [found[key] for key in keys]

    def _body(self, prompt: str, left: str, right: str) -> dict[str, Any]:
        texts = dict(zip(PLACES, (prompt, left, right), strict=True))
        # all places at once, because a text may contain a placeholder
        content = "".join(texts.get(part, part) for part in re.split(r"(\{prompt\}|\{left\}|\{right\})", self.question))
        body = {"model": self.model, "messages": [{"role": "user", "content": content}], "temperature": 0,
                "max_tokens": 16, **self.request}  # fmt: skip
        return {name: value for name, value in body.items() if value is not None}

    def _asked(self, key: str, body: Mapping[str, Any]) -> float | None:
        answer = self.server.post("/chat/completions", body, _preference)
        if self._cache is not None and answer is not None:
            self._cache.keep(key, answer)
        return answer


def _preference(answer: Any) -> float | None:
    """q from a server's answer; raises KeyError or the like if there is none."""
    choice = answer["choices"][0]
    said = choice["message"]["content"]
    if not isinstance(said, str):
        raise TypeError(f"content is {said!r}")
    tops = ((choice.get("logprobs") or {}).get("content") or [{}])[0].get("top_logprobs") or []
    mass = {verdict: 0.0 for verdict in VERDICTS}
    for top in tops:
        token = str(top["token"]).strip()
        if token in mass:
            mass[token] += math.exp(float(top["logprob"]))
    if mass["A"] + mass["B"] > 0:
        return min(1.0, (mass["A"] + 0.5 * mass["C"]) / sum(mass.values()))
    return _verdict(said)


def _verdict(said: str) -> float | None:
    """The verdict in a text: a letter alone, in double brackets, or alone on its last line.

    >>> _verdict("B."), _verdict("Both are short. [[C]]"), _verdict("I cannot say.")
    (0.0, 0.5, None)
    """
    bracketed = re.findall(r"\[\[([ABC])\]\]", said)
    lines = [line.strip(" .*`'\"()[]:") for line in said.strip().splitlines() if line.strip()]
    for word in (*bracketed[-1:], *lines[-1:]):
        if word in VERDICTS:
            return VERDICTS[word]
    return None


def _key(url: str, body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([url, body], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class _Cache:
    """Answers on disk, each written atomically; several threads and processes may share the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(path, check_same_thread=False, timeout=60.0)
            with self._file:
                self._file.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, p REAL NOT NULL)")
        except sqlite3.Error as error:
            raise BadInput(f"cache = {str(path)!r} is not a file of answers ({error})") from None

    def known(self, keys: Sequence[str]) -> dict[str, float | None]:
        found: dict[str, float | None] = {}
        with self._lock:
            for part in _parts(keys, 500):
                places = ", ".join("?" * len(part))
                found.update(self._file.execute(f"SELECT key, p FROM answers WHERE key IN ({places})", part))
        return found

    def keep(self, key: str, p: float) -> None:
        try:
            with self._lock, self._file:
                self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, p))
        except sqlite3.Error as error:
            raise OSError(f"the cache of answers cannot be written ({error})") from error


def _parts(keys: Sequence[str], size: int) -> Iterable[list[str]]:
    return (list(keys[i : i + size]) for i in range(0, len(keys), size))
