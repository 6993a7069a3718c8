"""Election files: PrefLib (.soc .soi .toc .toi .cat .wmd, and its format before 2022), .cvotes, ABIF, BLT.

A line outside the grammar is refused with its number, because skipping it would silently change the election.  (The
tests compare with preflibtools, which skips it.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from fractions import Fraction

from nashlab.game import BadInput
from nashlab.votes.ballots import Ballot, counted
from nashlab.votes.reading import Options, Table, check_size
from nashlab.votes.text import parse_number

__all__ = ["ORDINAL", "abif", "blt", "cvotes", "preflib"]

ORDINAL = (".soc", ".soi", ".toc", ".toi", ".cat")
HEADER = re.compile(r"#\s*(ALTERNATIVE NAME|CATEGORY NAME)\s+(\d{1,9})\s*:\s*(.*)|#\s*([A-Z][A-Z ]*?)\s*:\s*(.*)")
ORDER = re.compile(r"(\d+|\{\d*(,\d+)*\})(,(\d+|\{\d*(,\d+)*\}))*")
GROUP = re.compile(r"\{([\d,]*)\}|(\d+)")


# -- PrefLib ---------------------------------------------------------------------------------------------------------


def preflib(text: str, suffix: str, options: Options) -> Table:
    """PrefLib's orders, categories and weighted majority graphs, in the present format or that before 2022."""
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not any(line.startswith("#") for _, line in lines):
        return _before_2022(lines, suffix, options)
    names: dict[int, str] = {}
    said: dict[str, str] = {}
    for _, line in lines:
        match = HEADER.fullmatch(line)
        if match and match[1] == "ALTERNATIVE NAME":
            names[int(match[2])] = _new_name(match[3].strip(), names)
        elif match and match[4]:
            said[match[4]] = match[5].strip()
    declared = said.get("DATA TYPE", "").lower()
    kind = suffix.lstrip(".") if suffix in (*ORDINAL, ".wmd", ".wmg") else declared
    body = [(i, line) for i, line in lines if not line.startswith("#")]
    if kind in ("wmd", "wmg"):
        return _majority_graph(names, body)
    if "." + kind not in ORDINAL:
        raise BadInput(f"is not a PrefLib ordinal file (DATA TYPE {kind or 'is missing'!r})")
    if not names:
        raise BadInput("holds no ranking" if body else "is not a PrefLib ordinal file (no ALTERNATIVE NAME)")
    if not body:
        raise BadInput("is not a PrefLib ordinal file (no order)")
    ballots = [_order(line, i, names) for i, line in body]
    table = counted(list(names.values()), ballots, options.unranked, f"PrefLib .{kind} ballots")
    voters = said.get("NUMBER VOTERS", "")
    if voters.isdigit() and table.votes is not None and int(voters) != table.votes:
        return table.noting(f"the header declares {voters} voters, the file holds {table.votes}")
    return table


def _new_name(name: str, names: dict[int, str]) -> str:
    """Tell equal names apart, as preflibtools does."""
    name = name or f"alternative {len(names) + 1}"
    taken, number = set(names.values()), 1
    while name in taken and f"{name}__{number}" in taken:
        number += 1
    return name if name not in taken else f"{name}__{number}"


def _order(line: str, number: int, names: dict[int, str]) -> Ballot:
    count, colon, order = "".join(line.split()).partition(":")
    if not colon or not re.fullmatch(r"-?\d{1,40}", count):
        raise BadInput(f"is not a PrefLib ordinal file (line {number}: {line[:60]!r} must be COUNT: ORDER)")
    return Ballot(_groups(order, number, names), Fraction(int(count)))


def _groups(order: str, number: int, names: dict[int, str]) -> tuple[tuple[int, ...], ...]:
    """1,{2,3},4 as indices of the alternatives."""
    order = order.strip(",")
    if order and not ORDER.fullmatch(order):
        raise BadInput(f"is not a PrefLib ordinal file (line {number}: {order[:60]!r} is not an order)")
    row = {alternative: i for i, alternative in enumerate(names)}
    groups: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for braces, single in GROUP.findall(order):
        group = [int(x) for x in (single or braces).split(",") if x]
        for alternative in group:
            if alternative not in row:
                raise BadInput(f"ranks alternative {alternative}, which has no # ALTERNATIVE NAME line")
            if alternative in seen:
                raise BadInput(f"ranks alternative {alternative} twice in one order, must be at most once")
            seen.add(alternative)
        if group:
            groups.append(tuple(row[x] for x in group))
    return tuple(groups)


def _majority_graph(names: dict[int, str], body: Sequence[tuple[int, str]]) -> Table:
    """Lines ``i,j,margin``; a pair without a line is even."""
    if not names:
        raise BadInput("is not a PrefLib ordinal file or graph (no ALTERNATIVE NAME)")
    row = {alternative: i for i, alternative in enumerate(names)}
    n = len(names)
    check_size(n)
    margins = [[Fraction(0)] * n for _ in range(n)]
    met: set[tuple[int, int]] = set()
    for number, line in body:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 3 or not all(re.fullmatch(r"\d{1,9}", cell) for cell in cells[:2]):
            raise BadInput(f"line {number}: {line[:60]!r} must be alternative,alternative,margin")
        i, j = (row.get(int(cell), -1) for cell in cells[:2])
        if min(i, j) < 0 or i == j:
            raise BadInput(f"line {number}: {line[:60]!r} must name two different alternatives with a name")
        value = parse_number(cells[2], f"line {number}")
        if (i, j) in met or ((j, i) in met and margins[i][j] != value):
            raise BadInput(f"line {number}: the pair {cells[0]},{cells[1]} occurs twice with different margins")
        met.add((i, j))
        margins[i][j], margins[j][i] = value, -value
    even = n * (n - 1) // 2 - len({(min(p), max(p)) for p in met})
    notes = (f"{even} pairs without an edge count as even",) if even else ()
    return Table(margins, list(names.values()), "margins", layout="weighted majority graph", notes=notes)


def _before_2022(lines: Sequence[tuple[int, str]], suffix: str, options: Options) -> Table:
    """n, then n lines ``number,name``, then ``voters,sum,orders``, then ``count,order``; graphs ``margin,i,j``."""
    kind = suffix.lstrip(".") or "ordinal"
    if not lines or not re.fullmatch(r"\d{1,9}(,.*)?", lines[0][1]):
        raise BadInput(f"is not a PrefLib {'graph' if kind in ('wmd', 'wmg') else 'ordinal'} file (no header)")
    n = int(lines[0][1].split(",")[0])
    if n * n * 8 > 2**36:
        check_size(n)
    if len(lines) < n + 1:
        raise BadInput(f"is not a PrefLib ordinal file: {n} alternatives are declared, {len(lines) - 1} lines follow")
    names: dict[int, str] = {}
    for number, line in lines[1 : n + 1]:
        place, comma, name = line.partition(",")
        if not comma or not place.strip().isdigit() or int(place) in names:
            raise BadInput(f"is not a PrefLib ordinal file (line {number}: {line[:60]!r} must be number,name)")
        names[int(place)] = _new_name(name.strip(), names)
    graph = kind in ("wmd", "wmg")
    rest = list(lines[n + 1 :])
    if graph and "," in lines[0][1]:  # n,edges above: then lines i,j,margin as today
        return _majority_graph(names, rest)
    sums = rest[0][1].split(",") if rest else []
    if rest and len(sums) == 3 and (not graph or len(rest) > 1):
        rest, declared = rest[1:], sums[0]
    else:
        raise BadInput("is not a PrefLib ordinal file (no line voters,sum,orders)")
    if graph:
        # margin,i,j: the margin came first before 2022
        turned = [(i, ",".join([*line.split(",")[1:], line.split(",")[0]])) for i, line in rest]
        return _majority_graph(names, turned)
    ballots = []
    for number, line in rest:
        count, comma, order = "".join(line.split()).partition(",")
        if not comma or not count.isdigit():
            raise BadInput(f"is not a PrefLib ordinal file (line {number}: {line[:60]!r} must be count,order)")
        ballots.append(Ballot(_groups(order, number, names), Fraction(int(count))))
    if not ballots or not names:
        raise BadInput("holds no ranking")
    table = counted(list(names.values()), ballots, options.unranked, "PrefLib ballots (before 2022)")
    if declared.strip().isdigit() and int(declared) != table.votes:
        return table.noting(f"the header declares {declared.strip()} voters, the file holds {table.votes}")
    return table


# -- the Condorcet Election Format, .cvotes --------------------------------------------------------------------------


def cvotes(text: str, options: Options) -> Table:
    """``tags || A > B = C ^weight * count``, with parameters ``#/Candidates: A ; B``; ``#`` begins a comment."""
    said: dict[str, str] = {}
    ballots: list[tuple[list[list[str]], Fraction, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.fullmatch(r"\s*#/\s*([^:]+?)\s*:\s*(.*?)\s*", line):
            said[match[1].lower()] = match[2]
            continue
        content = line.split("#", 1)[0].strip()
        if content:
            ballots.append(_cvote(content.split("||")[-1].strip(), number, said))
    if any(said.get(key, "").lower() not in ("", "true", "false") for key in ("implicit ranking", "weight allowed")):
        raise BadInput("the parameters Implicit Ranking and Weight Allowed must be true or false")
    listed = [x.strip() for x in said.get("candidates", "").split(";") if x.strip()]
    found = list(dict.fromkeys(name for groups, _, _ in ballots for group in groups for name in group))
    labels = listed or sorted(found)
    place = {name: i for i, name in enumerate(labels)}
    if len(place) < len(labels):
        raise BadInput("names a candidate twice in #/Candidates")
    unknown = next(
        ((name, number) for groups, _, number in ballots for g in groups for name in g if name not in place), None
    )
    if unknown:
        raise BadInput(f"line {unknown[1]}: {unknown[0]!r} is not a candidate ({', '.join(labels)[:120]})")
    unranked = "uncompared" if said.get("implicit ranking", "true").lower() == "false" else options.unranked
    return counted(
        labels,
        [Ballot(tuple(tuple(place[x] for x in g) for g in groups), voters) for groups, voters, _ in ballots],
        unranked,
        "Condorcet election format (.cvotes)",
    )


def _cvote(content: str, number: int, said: dict[str, str]) -> tuple[list[list[str]], Fraction, int]:
    order, star, times = content.partition("*")
    order, hat, weight = order.partition("^")
    voters = parse_number(times, f"line {number}, after *") if star else Fraction(1)
    if hat and said.get("weight allowed", "false").lower() == "true":
        voters *= parse_number(weight, f"line {number}, after ^")
    if voters < 0:
        raise BadInput(f"line {number}: a count or weight is negative")
    if order.strip() == "/EMPTY_RANKING/":
        return [], voters, number
    return _ranked(order, number, "="), voters, number


def _ranked(order: str, number: int, equal: str) -> list[list[str]]:
    """A > B = C as groups of names."""
    groups = [[name.strip() for name in re.split(f"[{equal}]", group)] for group in order.split(">")]
    names = [name for group in groups for name in group]
    if not all(names):
        raise BadInput(f"line {number}: {order.strip()[:60]!r} has an empty place")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadInput(f"line {number}: ranks {twice!r} twice, must be at most once")
    return groups


# -- ABIF ------------------------------------------------------------------------------------------------------------


def abif(text: str, options: Options) -> Table:
    """``27:A>B=C``, ``5:A/5,B/3`` (scores), ``=A:[Full name]``, ``{"title": ...}``; ``#`` begins a comment."""
    names: dict[str, str] = {}
    lines: list[tuple[list[list[str]], Fraction]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = re.sub(r"#.*", "", line).strip()
        if not content:
            continue
        if content.startswith("{"):
            _abif_metadata(content, number)
        elif match := re.fullmatch(r"=\s*(\[[^\]]+\]|\"[^\"]+\"|[^:]+?)\s*:\s*(.*)", content):
            names[_bare(match[1])] = _bare(match[2]) or _bare(match[1])
        elif match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*[:*]\s*(.*)", content):
            lines.append((_abif_order(match[2], number), parse_number(match[1], f"line {number}")))
        else:
            raise BadInput(f"line {number}: {content[:60]!r} must be COUNT: A > B = C, =TOKEN: [name] or {{...}}")
    found = dict.fromkeys(token for groups, _ in lines for group in groups for token in group)
    tokens = list(names) + sorted(token for token in found if token not in names)
    place = {token: i for i, token in enumerate(tokens)}
    ballots = [Ballot(tuple(tuple(place[x] for x in group) for group in groups), voters) for groups, voters in lines]
    return counted([names.get(token, token) for token in tokens], ballots, options.unranked, "ABIF ballots")


def _abif_metadata(content: str, number: int) -> None:
    try:
        json.loads(content)
    except ValueError:
        raise BadInput(f"line {number}: {content[:60]!r} is not JSON") from None


def _bare(token: str) -> str:
    token = token.strip()
    pairs = {"[": "]", '"': '"'}
    return token[1:-1].strip() if token[:1] in pairs and token.endswith(pairs[token[0]]) and len(token) > 1 else token


def _abif_order(order: str, number: int) -> list[list[str]]:
    """Names in brackets may hold any character; scores decide if there is no > or =."""
    tokens = re.findall(r"\[[^\]]*\]|\"[^\"]*\"|[>=,]|[^>=,\[\]\"]+", order)
    if "".join(tokens) != order:
        raise BadInput(f"line {number}: {order[:60]!r} is not a ranking")
    groups: list[list[tuple[str, Fraction | None]]] = [[]]
    commas, ordered = False, False
    name = ""
    for token in [*tokens, "end"]:
        if token in (">", "=", ",", "end"):
            if name.strip() or token != "end" or order.strip():
                groups[-1].append(_scored(name, number))
            commas, ordered = commas or token == ",", ordered or token in (">", "=")
            if token == ">":
                groups.append([])
            name = ""
        else:
            name += token
    flat = [x for group in groups for x in group]
    if commas and not ordered and len(flat) > 1:
        if any(score is None for _, score in flat):
            raise BadInput(f"line {number}: {order[:60]!r} has commas but not a score for each")
        levels = sorted({score for _, score in flat if score is not None}, reverse=True)
        groups = [[x for x in flat if x[1] == level] for level in levels]
    named = [[token for token, _ in group] for group in groups if group]
    seen = [token for group in named for token in group]
    if len(set(seen)) < len(seen):
        twice = next(token for token in seen if seen.count(token) > 1)
        raise BadInput(f"line {number}: ranks {twice!r} twice, must be at most once")
    scores = [[score for _, score in group] for group in groups if group]
    known = [x for group in scores for x in group if x is not None]
    if ordered and known != sorted(known, reverse=True):
        raise BadInput(f"line {number}: {order[:60]!r}: its scores contradict its order")
    return named


def _scored(text: str, number: int) -> tuple[str, Fraction | None]:
    name, slash, score = text.strip().rpartition("/")
    if not slash:
        name = score
    token = _bare(name)
    if not token:
        raise BadInput(f"line {number}: has an empty place")
    return token, parse_number(score, f"line {number}, score of {token!r}") if slash else None


# -- BLT -------------------------------------------------------------------------------------------------------------


def blt(text: str, options: Options) -> Table:
    """``candidates seats``, ``-withdrawn ...``, ``weight 3 1=2 0`` per ballot, ``0``, then the names and a title."""
    lines = [(i, re.sub(r"#.*", "", line).strip()) for i, line in enumerate(text.splitlines(), 1)]
    lines = [(i, line) for i, line in lines if line]
    if not lines or not re.fullmatch(r"\d{1,9}\s+\d{1,9}", lines[0][1]):
        raise BadInput("is not a BLT file (the first line must be: candidates seats)")
    n = int(lines[0][1].split()[0])
    check_size(n)
    ended = next((k for k, (_, line) in enumerate(lines[1:], 1) if line == "0"), None)
    if ended is None:
        raise BadInput("is not a BLT file (no line 0 ends the ballots)")
    names = [line.strip('"').strip() for _, line in lines[ended + 1 : ended + 1 + n]]
    if len(names) < n:
        raise BadInput(f"is cut off: {n} candidates are declared, {len(names)} names follow the ballots")
    withdrawn: set[int] = set()
    ballots = []
    for number, line in lines[1:ended]:
        words = line.split()
        if all(re.fullmatch(r"-\d{1,9}", x) for x in words):
            withdrawn |= {-int(x) for x in words}
            continue
        words = words[1:] if re.fullmatch(r"\(.*\)", words[0]) else words
        if len(words) < 2 or words[-1] != "0":
            raise BadInput(f"line {number}: {line[:60]!r} must be: weight, candidates, 0")
        ballots.append(_blt_ballot(words, number, n))
    standing = [i for i in range(1, n + 1) if i not in withdrawn]
    place = {candidate: i for i, candidate in enumerate(standing)}
    kept = [
        Ballot(tuple(g for g in (tuple(place[x] for x in group if x in place) for group in groups) if g), voters)
        for groups, voters in ballots
    ]
    table = counted([names[i - 1] for i in standing], kept, options.unranked, "BLT ballots")
    out = [names[i - 1] for i in sorted(withdrawn) if i <= n]
    return table.noting(f"withdrawn: {', '.join(out)}") if out else table


def _blt_ballot(words: Sequence[str], number: int, n: int) -> tuple[list[list[int]], Fraction]:
    groups, seen = [], set()
    for place in words[1:-1]:
        if place == "-":
            continue  # an empty place
        if not re.fullmatch(r"\d{1,9}(=\d{1,9})*", place):
            raise BadInput(f"line {number}: {place[:40]!r} must be the number of a candidate")
        group = [int(x) for x in place.split("=")]
        for candidate in group:
            if not 1 <= candidate <= n:
                raise BadInput(f"line {number}: candidate {candidate} does not exist, there are {n}")
            if candidate in seen:
                raise BadInput(f"line {number}: ranks candidate {candidate} twice, must be at most once")
            seen.add(candidate)
        groups.append(group)
    weight = parse_number(words[0], f"line {number}, weight")
    if weight < 0:
        raise BadInput(f"line {number}: weight = {words[0]}, must be at least 0")
    return groups, weight
