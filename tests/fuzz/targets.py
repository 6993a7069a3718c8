"""What is fuzzed: one function for each kind of input, which raises unless the input ends in an answer or in one line.

    answers      an answer of `nashlab solve --json`, alone or with the file of a game, to the verifier
    games        the bytes of a file to both readers of games, which must agree where both read it exactly
    references   the bytes of a policy
    commands     a JSON object {"arguments", "files", "stdin"} to `nashlab` in this process

Each has seeds, inputs that are right, and a mutator that knows their structure.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutations import NUMBERS, mutate_bytes, mutate_json, mutate_lines

from nashlab.certify import CertifyError, certify_answer, parsed, read_margins
from nashlab.game import BadInput

ROOM = "nashlab.votes"
READERS = importlib.import_module(ROOM)
PATIENCE = 10.0  # seconds that an input may take
MARK = b"\x00GAME"  # before the suffix and the bytes of a game's file

Mutator = Callable[[bytes, random.Random], bytes]


class Fault(AssertionError):
    """The input ended in something else than an answer or one line."""


@dataclass(frozen=True)
class Target:
    """One kind of input: what judges it, what it starts from, and how it is changed."""

    judge: Callable[[bytes], str]  # a word for the way the input ended; raises what is a fault
    seeds: Callable[[], list[bytes]]
    mutate: Mutator


@contextlib.contextmanager
def watched(seconds: float = PATIENCE) -> Iterator[None]:
    """Warnings are errors, and so is an input that takes too long."""

    def stop(*_: object) -> None:
        raise Fault(f"no end after {seconds:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="preflibtools")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# -- answers ---------------------------------------------------------------------------------------------------------


def judge_answer(data: bytes) -> str:
    """The verifier's rows are (text, True, False or None, text), or it refuses."""
    text, mark, rest = data.partition(MARK)
    suffix, _, table = rest.partition(b"\n")
    try:
        own = read_margins(table, suffix.decode("latin-1")) if mark else None
        rows = certify_answer(parsed(text.decode("utf-8-sig")), own)
    except (CertifyError, UnicodeDecodeError):
        return "refused"
    for what, holds, detail in rows:
        if not (isinstance(what, str) and holds in (True, False, None) and isinstance(detail, str)):
            raise Fault(f"not a row: {what!r}, {holds!r}, {detail!r}")
    return "refuted" if any(holds is False for _, holds, _ in rows) else "accepted"


@functools.cache
def answer_seeds() -> list[bytes]:
    """Answers of every form: exact, with a reference, a face, a witness, regularised, contextual, with a game."""
    import forgeries

    from nashlab.answer import answer_of
    from nashlab.equilibrium import nash
    from nashlab.files import plain
    from nashlab.gallery import get
    from nashlab.game import PreferenceGame

    def said(game: PreferenceGame, tau: float = 0.0) -> bytes:
        return json.dumps(plain(answer_of(nash(game, tau)))).encode()

    found = [said(get(name), tau) for name in ("rps", "duplicates", "all-ties", "gap-trap") for tau in (0.0, 0.1)]
    found.append(said(get("four-cycle").with_reference([0.4, 0.3, 0.2, 0.1])))
    found.append(said(PreferenceGame.from_margins([[[0, 1.0], [-1.0, 0]], [[0, 0.5], [-0.5, 0]]]), 0.1))
    rng = np.random.default_rng(0)
    found += [json.dumps(forgeries.random_answer(rng)[2]).encode() for _ in range(12)]
    found.append(said(get("rps")) + MARK + b".csv\n0,.5,-.5\n-.5,0,.5\n.5,-.5,0\n")
    return found


def mutate_answer(data: bytes, rng: random.Random) -> bytes:
    text, mark, rest = data.partition(MARK)
    if mark and rng.random() < 0.5:
        suffix, _, table = rest.partition(b"\n")
        return text + mark + suffix + b"\n" + mutate_game_bytes(table, rng)
    return mutate_json(text, rng) + mark + rest


# -- games -----------------------------------------------------------------------------------------------------------

KINDS = ("", "preferences", "wins", "margins", "payoff")
FILLS = ("", "half", "bradley-terry", "add-1", "add-1/3")


def _headed(data: bytes) -> tuple[str, dict[str, Any], bytes]:
    """(suffix, options, content) of suffix|kind|fill, a line break, and the file."""
    head, _, body = data.partition(b"\n")
    suffix, kind, fill = (*head.decode("latin-1").split("|"), "", "", "")[:3]
    given = {"kind": kind, "fill": fill}
    return suffix, {name: value for name, value in given.items() if value}, body


def judge_game(data: bytes) -> str:
    """Both readers give a game or refuse; what both read exactly is the same."""
    suffix, given, body = _headed(data)
    name = "fuzz" + ("" if "/" in suffix or "\0" in suffix else suffix)
    try:
        game = READERS.parse_game(body, name, suffix, **given)
    except BadInput as error:
        if not str(error).strip():
            raise Fault("an empty message") from error
        game = None
    try:
        theirs = read_margins(body, suffix, given.get("kind"), given.get("fill"))
    except CertifyError:
        theirs = None
    if game is None:
        return "refused"
    if not np.isfinite(game.margins).all() or not np.isfinite(game.log_reference[game.reference > 0]).all():
        raise Fault("a game that is not finite")
    if theirs is None or game.exact is None:
        return "read"
    if tuple(map(tuple, theirs.margins)) != tuple(map(tuple, game.exact)):
        raise Fault("the two readers read different margins")
    if theirs.labels is not None and tuple(theirs.labels) != tuple(game.labels):
        raise Fault("the two readers read different labels")
    return "read by both"


@functools.cache
def game_seeds() -> list[bytes]:
    """A small file of every format."""
    tables = [
        (".csv", b"0.5,0.7\n0.3,0.5"), (".csv", b"a;b\n0;1\n-1;0"), (".csv", b",a,b,c\na,,3,1\nb,2,,4\nc,9,1,"),
        (".csv", b"winner,loser\na,b\nb,a\na,b\nb,c\nc,a"), (".csv", b"winner,loser,weight\na,b,2.5\nb,a,1"),
        (".csv", b"model_a,model_b,winner\nx,y,model_a\ny,x,tie\nx,y,model_b"),
        (".csv", b"rank1,rank2,rank3\na,b,c\nb,c,a"), (".csv", b'"a ""q""",b\n0,1/3\n-1/3,0\n'),
        (".json", b'{"wins": [[0, 3], [1, 0]], "labels": ["x", "y"]}'),
        (".json", b'{"preferences": [[0.5, 0.1], [0.9, 0.5]], "reference": [0.25, 0.75]}'),
        (".json", b'{"margins": [[[0, 0.1], [-0.1, 0]], [[0, 0.2], [-0.2, 0]]], "weights": [0.5, 0.5]}'),
        (".json", b'[{"winner": "a", "loser": "b"}, {"winner": "b", "loser": "a"}]'),
        (".jsonl", b'{"winner": "a", "loser": "b"}\n{"winner": "b", "loser": "a", "weight": 2}\n'),
        (".tsv", b"0\t2\n-2\t0"), (".txt", b"0 2\n-2 0\n"),
        (".abif", b"3: A > B > C\n2: C = B > A\n"), (".blt", b'3 1\n2 1 2 3 0\n1 3 2 0\n0\n"A"\n"B"\n"C"\n"T"\n'),
        (".cvotes", b"#/a/b/c\n2: a>b>c\n"),
        (".cvotes", b"#/Candidates: A;B\n#/Weight Allowed: true\nA>B ^2 * 3\nB=A\n"),
        (".csv", b"model_a,model_b,verdict\nx,y,A>>B\ny,x,[[C]]\nx,y,2-1\n"),
        (".csv", b"a,b,prob_a,prob_b\nx,y,.75,.25\n"),
        (".csv", b"home.team,away.team,home.wins,away.wins,total\nx,y,3,4,7\n"),
        (".csv", b"sep=;\na;b\n0;1,5\n-1,5;0\n"),
        (".csv", b"judge,a:b,a:c,b:c\nu,1,-1,0\nv,b,tie,\n"), (".csv", b"A,B,C,count\n1,2,,3\n2.0,1.0,3.0,1\n"),
        (".csv", b"rank1,rank2,n\na=b,c,2\nb,a,1\n"), (".csv", b"agent,1,2,3\n1,.5,.2,.9\n2,.1,.8,.3\n"),
        (".csv", b",a,b,All\na,0,2,2\nb,3,0,3\nAll,3,2,5\n"), (".csv", b",a,b\na,--,70\nb,30,#N/A\n"),
        (".csv", b"winner;loser;n\nx;y;1.000\ny;x;2.500\n"), (".csv", "winner,loser\nx,y\ny,x\n".encode("utf-16")),
        (".json", b'{"winner": ["a", "b"], "loser": ["b", "a"], "count": [3, 1]}'),
        (".soi", b"3\n1,a\n2,b\n3,c\n3,3,2\n2,1,{2,3}\n1,3\n"), (".wmd", b"2\n1,a\n2,b\n3,3,1\n3,1,2\n"),
        *_columned(),
    ]  # fmt: skip
    head = b"# FILE NAME: t.%s\n# DATA TYPE: %s\n# NUMBER ALTERNATIVES: 3\n# ALTERNATIVE NAME 1: a\n"
    head += b"# ALTERNATIVE NAME 2: b\n# ALTERNATIVE NAME 3: c\n"
    for kind, body in ((b"soc", b"2: 1,2,3\n1: 3,2,1\n"), (b"soi", b"2: 1,2\n1: 3\n"), (b"toc", b"3: 1,{2,3}\n")):
        tables.append(("." + kind.decode(), head % (kind, kind) + body))
    for array in (np.array([[0.0, 0.5], [-0.5, 0.0]]), np.array([[0, 3], [1, 0]], dtype="<i4"), np.zeros((2, 2, 2))):
        stream = io.BytesIO()
        np.save(stream, array)
        tables.append((".npy", stream.getvalue()))
    if ROOM == "nashlab.votes":
        tables += [(suffix + ".gz", _packed(body)) for suffix, body in tables[:2]]
    return [suffix.encode() + b"||\n" + body for suffix, body in tables]


def _columned() -> list[tuple[str, bytes]]:
    """One log as Parquet, as an Arrow file and as an Arrow stream."""
    import pyarrow as pa
    from pyarrow import ipc, parquet

    table = pa.table({"winner": ["a", "b"], "loser": ["b", "a"], "count": [2, 1], "tie": [False, True]})
    found = []
    for suffix, writer in ((".arrow", ipc.new_file), (".arrows", ipc.new_stream)):
        stream = io.BytesIO()
        with writer(stream, table.schema) as file:
            file.write_table(table)
        found.append((suffix, stream.getvalue()))
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return [*found, (".parquet", stream.getvalue())]


def _packed(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data, mtime=0)


def mutate_game(data: bytes, rng: random.Random) -> bytes:
    head, _, body = data.partition(b"\n")
    suffix, kind, fill = (*head.decode("latin-1").split("|"), "", "", "")[:3]
    if rng.random() < 0.1:
        kind, fill = rng.choice(KINDS), rng.choice(FILLS)
    if rng.random() < 0.05:
        suffix = rng.choice(SUFFIXES)
    return f"{suffix}|{kind}|{fill}\n".encode("latin-1", "replace") + mutate_game_bytes(body, rng)


SUFFIXES = (
    ".csv", ".tsv", ".txt", ".json", ".npy", ".soc", ".soi", ".toc", ".toi", "", ".dat", ".jsonl", ".parquet", ".arrow",
    ".cat", ".wmd", ".cvotes", ".abif", ".blt", ".gz", ".zip", ".xz", ".bz2",
)  # fmt: skip


def mutate_game_bytes(body: bytes, rng: random.Random) -> bytes:
    if body.lstrip()[:1] in (b"{", b"[") and rng.random() < 0.7:
        return mutate_json(body, rng)
    if body[:1] not in (b"\x93", b"\x1f", b"\xff") and body[:4] not in (b"PAR1", b"ARRO") and rng.random() < 0.7:
        return mutate_lines(body, rng)
    return mutate_bytes(body, rng)


# -- references ------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")


def judge_reference(data: bytes) -> str:
    """The first byte says how many responses there are, the rest is the file."""
    from nashlab.game import PreferenceGame

    labels = NAMES[: 1 + data[0] % 4] if data else NAMES
    path = scratch() / "reference.csv"
    path.write_bytes(data[1:])
    try:
        weights = READERS.read_reference(str(path), labels)
        game = PreferenceGame.from_margins([[0] * len(labels)] * len(labels), labels=labels).with_reference(weights)
    except BadInput:
        return "refused"
    if not (np.isfinite(game.reference).all() and abs(game.reference.sum() - 1) < 1e-9):
        raise Fault(f"not a policy: {game.reference}")
    return "read"


def reference_seeds() -> list[bytes]:
    """One number a line, and names with numbers."""
    return [b"\1" + b"0.5\n0.5\n", b"\2" + b"a,1/3\nb,1/3\nc,1/3\n", b"\3" + b"1\n2e0\n.5\n1\n", b"\0" + b"1\n"]


def mutate_reference(data: bytes, rng: random.Random) -> bytes:
    return data[:1] + (mutate_lines if rng.random() < 0.7 else mutate_bytes)(data[1:], rng)


# -- commands --------------------------------------------------------------------------------------------------------

BOX = "╭"  # wrong usage is shown by the parser of arguments, in a box


def judge_command(data: bytes) -> str:
    """Exit code 0, 1 or 2; with 2 one last line on stderr and nothing on stdout; with --json one JSON value, no NaN."""
    try:
        given = json.loads(data)
        arguments, files = list(map(str, given["arguments"])), dict(given.get("files") or {})
        stdin = str(given.get("stdin") or "").encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no command"
    if any("\0" in x for x in arguments) or _long_work(arguments, files):
        return "no command"
    with tempfile.TemporaryDirectory(dir=scratch()) as folder, contextlib.chdir(folder):
        for name, content in files.items():
            if Path(name).name == name and name not in (".", "..") and len(name) < 100 and "\0" not in name:
                Path(name).write_bytes(str(content).encode("utf-8", "surrogatepass"))
        code, out, err = in_process(arguments, stdin)
    if code not in (0, 1, 2):
        raise Fault(f"exit code {code}")
    ours = [line for line in err.splitlines() if line.startswith("nashlab: ")]  # after how a file was read, if it was
    if code == 2 and BOX not in err and (out or len(ours) != 1 or not err.endswith(ours[0] + "\n")):
        raise Fault(f"not one line: {err!r} {out[:80]!r}")
    if code != 2 and "--json" in arguments and out and "--help" not in arguments and "-h" not in arguments:
        json.loads(out, parse_constant=_no_constant)
    return f"exit {code}"


def _no_constant(word: str) -> None:
    raise Fault(f"{word} in the output")


def in_process(arguments: list[str], stdin: bytes = b"") -> tuple[Any, str, str]:
    """(exit code, stdout, stderr) of `nashlab`; both streams are strict UTF-8, as a terminal's are."""
    from nashlab.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors) for errors in ("strict", "backslashreplace")]
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    code: Any = None
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            try:
                main(arguments)
            except SystemExit as stop:
                code = stop.code or 0
            for stream in streams:
                stream.flush()
    finally:
        sys.stdin = before
    out, err = (stream.buffer.getvalue().decode("utf-8") for stream in streams)  # type: ignore[attr-defined]
    return code, out, err


def _long_work(arguments: list[str], files: dict[str, Any]) -> bool:
    """Work that was asked for and takes its time, or that writes outside the folder."""
    if any(x.startswith("/") or ".." in x or "=/" in x for x in [*arguments, *map(str, files.values())]):
        return True
    if arguments[:1] == ["verify"]:
        return True
    numbers = [int(x) for x in arguments if x.isascii() and x.isdigit() and len(x) < 4000]
    return any(x > 50 for x in numbers) and arguments[:1] in (["run"], ["sweep"], ["rank"])


RANKED = (
    (["--json"], "winner,loser\na,b\nb,c\nc,a\n"),
    (["--plan", "9"], "winner,loser,voter\na,b,v\nb,c,w\n"),
    (["--confidence", "0.9", "--json"], "model_a,model_b,winner,n\nx,y,tie,3\ny,z,model_a,2\n"),
    (["--html", "b.html", "--csv", "b.csv"], "rank1,rank2,rank3\na,b,c\nc,a,\n"),
)


@functools.cache
def command_seeds() -> list[bytes]:
    """Each command on small games, and what a file may be to it."""
    answers = [x.decode() for x in answer_seeds()[:3]]
    table, reference = "0,.5,-.5\n-.5,0,.5\n.5,-.5,0\n", "a,1\nb,2\n"
    # no steps are refused: so that the reading is tried, and no sweep is run
    sweep = 'games = ["rps"]\nalgorithms = ["omd"]\ntemperatures = [0.1]\n'
    sweep += "step_sizes = [0.1]\nsteps = 0\nrecords = 2\n"
    found: list[dict[str, Any]] = [
        {"arguments": ["solve", "g.csv", "--json"], "files": {"g.csv": table}},
        {"arguments": ["solve", "g.csv", "--tau", "0.1", "--reference", "r.csv"],
         "files": {"g.csv": "a,b\n0,1\n-1,0\n", "r.csv": reference}},
        {"arguments": ["solve", "-", "--kind", "wins", "--fill", "half", "--json"], "stdin": "0,3\n1,0\n"},
        {"arguments": ["solve", "rps", "--exact"]},
        {"arguments": ["solve", "g.json"], "files": {"g.json": '{"wins": [[0, 3], [1, 0]], "labels": ["x", "y"]}'}},
        *({"arguments": ["certify", "a.json", "--json"], "files": {"a.json": answer}} for answer in answers),
        {"arguments": ["certify", "a.json", "g.csv"], "files": {"a.json": answers[0], "g.csv": table}},
        {"arguments": ["certify", "-"], "stdin": answers[1]},
        {"arguments": ["rates", "omd", "--game", "g.csv", "--tau", "0.1", "--json"], "files": {"g.csv": table}},
        {"arguments": ["run", "omd", "--game", "rps", "--tau", "0.1", "--steps", "4", "--json"]},
        {"arguments": ["sweep", "s.toml"], "files": {"s.toml": sweep}},
        *({"arguments": ["rank", "v.csv", "--bootstrap", "4", *more], "files": {"v.csv": log}} for more, log in RANKED),
        {"arguments": ["solve", "v.csv", "--fill", "add-1/2", "--bootstrap", "3", "--claim", "uniform", "--json"],
         "files": {"v.csv": "winner,loser,worker\na,b,u\nb,c,v\nb,a,u\n"}},
        {"arguments": ["gallery", "--json"]}, {"arguments": ["algorithms"]},
    ]  # fmt: skip
    return [json.dumps(x).encode() for x in found]


WORDS = (
    "--json", "--exact", "--tau", "--reference", "--kind", "wins", "--fill", "half", "--steps", "--step-size", "--beta",
    "--seed", "--seeds", "--feedback", "bandit", "--labels", "--schedule", "uniform", "-", "", "nan", "inf", "1e-300",
    "1e308", "-1", "0", "1e-9", "é", "\ud800", "a\nb", "rps", "omd", "egpo", "nash-md+adam:0.9", "online-ipo",
    "--bootstrap", "--confidence", "0.5", "--plan", "7", "--claim", "--min-votes", "2", "--weigh", "votes",
    "--unranked", "uncompared", "bradley-terry", "add-1", "--columns", "winner=a,loser=b", "--csv", "--latex",
    "--markdown", "--start", "--behaviour", "--help", "[red]", "%s", "{}", "--game", "g.csv", "--plot", "p.png",
)  # fmt: skip


def mutate_command(data: bytes, rng: random.Random) -> bytes:
    """One argument or one file changed."""
    try:
        given = json.loads(data)
        arguments, files = given["arguments"], given.setdefault("files", {})
        arguments[0], dict(files)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return rng.choice(command_seeds())
    if files and rng.random() < 0.6:
        name = rng.choice(sorted(files))
        content = str(files[name]).encode("utf-8", "surrogatepass")
        files[name] = mutate_game_bytes(content, rng).decode("utf-8", "replace")
    elif given.get("stdin") and rng.random() < 0.5:
        content = str(given["stdin"]).encode("utf-8", "replace")
        given["stdin"] = mutate_game_bytes(content, rng).decode("utf-8", "replace")
    else:
        i = rng.randrange(1, len(arguments)) if len(arguments) > 1 else len(arguments)
        way = rng.randrange(4)
        if way == 0:
            arguments.insert(i, rng.choice(WORDS))
        elif way == 1:
            arguments[i:i] = [rng.choice(WORDS), rng.choice(WORDS)]
        elif way == 2 and i < len(arguments):
            arguments[i] = rng.choice((rng.choice(WORDS), rng.choice(NUMBERS), str(arguments[i])[::-1]))
        else:
            del arguments[i : i + 1]
    return json.dumps(given).encode()


# -- all -------------------------------------------------------------------------------------------------------------


@functools.cache
def scratch() -> Path:
    """A folder of this process, in memory where there is one."""
    folder = Path(tempfile.mkdtemp(prefix="nashlab-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    atexit.register(scratch_away)
    return folder


def scratch_away() -> None:
    """Remove it, where a process ends without saying so."""
    shutil.rmtree(scratch(), ignore_errors=True)


TARGETS = {
    "answers": Target(judge_answer, answer_seeds, mutate_answer),
    "games": Target(judge_game, game_seeds, mutate_game),
    "references": Target(judge_reference, reference_seeds, mutate_reference),
    "commands": Target(judge_command, command_seeds, mutate_command),
}


def judged(target: Target, data: bytes) -> tuple[str, float]:
    """How the input ended, and after how many seconds; raises what is a fault."""
    began = time.perf_counter()
    with watched():
        word = target.judge(data)
    return word, time.perf_counter() - began
