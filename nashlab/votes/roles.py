"""The roles of a comparison log's columns, by the field's usual names for sides, outcomes, counts, ties and voters.

first, second + winner       model_a, model_b, winner;  left, right, label;  generator_1, generator_2, preference
first, second + two columns  player1, player2, win1, win2 (counts) or score1, score2 (the higher wins)
first, second + one hot      winner_model_a, winner_model_b, winner_tie
winner, loser                chosen, rejected;  winner, loser, count, tie
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nashlab.game import BadInput, suggestion
from nashlab.votes.reading import Options
from nashlab.votes.sheets import Sheet, word, words

__all__ = ["Roles", "find_roles", "side_of", "unused"]

ENDS = (  # names of models before the texts that they wrote
    ("winner_model", "loser_model"),
    ("chosen_model", "rejected_model"),
    ("winner", "loser"),
    ("chosen", "rejected"),
    ("preferred", "dispreferred"),
    ("preferred", "rejected"),
    ("better", "worse"),
    ("winning", "losing"),
    ("win", "lose"),
    ("win", "loss"),
    ("model_winner", "model_loser"),
    ("winner_name", "loser_name"),
    ("winner_id", "loser_id"),
)
OUTCOMES = words(
    "winner label preference outcome result verdict vote preferred choice judgment judgement annotation "
    "decision chosen human_preference winner_model better pref winning_model gold"
)
SHARES = words("p prob probability win_prob win_probability soft_label win_rate winrate")
SHARED = words(  # with a side in the name: prob_a, p_first_wins, win_prob_1
    "p prob probability win_prob win_probability prob_win prob_wins p_win p_wins win_rate winrate share soft_label"
)
WON_AND_LOST = (("wins", "losses"), ("win", "loss"), ("won", "lost"))
TOTALS = words("total games matches trials comparisons judgments judgements")
WEIGHTS = words(
    "weight weights count counts n votes times freq frequency # num number num_votes n_votes vote_count "
    "multiplicity voters num_voters cnt"
)
TIES = words("tie ties draw draws tied is_tie is_draw drawn num_ties n_ties tie_count num_draws")
VOTERS = words(
    "voter worker judge rater annotator user evaluator assessor labeler labeller respondent participant "
    "listener voter_id worker_id judge_id rater_id annotator_id user_id evaluator_id assessor_id labeler_id "
    "participant_id respondent_id subject_id listener_id username judge_user judge_hash ballot ballot_id "
    "voterid"
)
PASSED = re.compile(
    r"(.*_)?(id|ids|index|idx|uid|uuid|key|hash)|turns?|tstamp|timestamp|time|date|datetime|day|month|year|created(_at)?"
    r"|prompt|question|prompt_number|instruction|item_number|row|line|round|match|game|session|task|trial|seed|order"
    r"|position|language|lang|anony|dedup_tag|is_code|is_refusal|category|dataset|source|split|unnamed:_\d+"
    r"|__index_level_\d+__|conv_metadata|category_tag|",
)
SIDES = (
    ("a", "b"),
    ("1", "2"),
    ("left", "right"),
    ("first", "second"),
    ("home", "away"),
    ("x", "y"),
    ("i", "j"),
    ("one", "two"),
    ("white", "black"),
    ("0", "1"),
)
NAMED = words(  # | stands for a bare side: a, b; left, right
    "model model_name player generator | option item candidate system team method agent bot llm name "
    "alternative policy assistant competitor contestant opponent product stimulus object choice entity "
    "participant response answer output text completion side side_name image sound sample label"
)
COUNTED = words("win wins won count counts n votes vote w num_wins n_wins win_count wins_count preferred times")
SCORED = words("score scores rating points goals grade mark reward")
ONE_HOT = words("winner winner_model is_winner wins_model winner_player winner_option win_model")
TIED = words(
    "winner_tie winner_draw winner_both winner_ties is_winner_tie win_tie winner_bothbad winner_both_bad "
    "winner_tie_bothbad both_bad bothbad tie_bothbad"
)
OWNERS = ("model", "player", "team", "option", "item", "num", "total", "generator", "candidate")
SPLIT = re.compile(r"(?<=[a-z])(?=[0-9])|(?<=[0-9])(?=[a-z])|(?<=[a-z])(?=[AB]$)|(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Roles:
    """Names of columns by role; None or () for a missing role.

    winner, loser       two names per row, or, with ``first`` and ``second``, ``winner`` says which of the two.
    counts, scores      two columns: wins of the first and of the second, or scores of which the higher wins.
    one_hot             two columns with a 1 for the winner;  hot_ties  columns with a 1 for a tie.
    share, against      the probability that the first wins, and that the second does.
    weight, tie, voter  of the row.
    """

    winner: str | None = None
    loser: str | None = None
    first: str | None = None
    second: str | None = None
    counts: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    hot_ties: tuple[str, ...] = ()
    share: str | None = None
    against: str | None = None
    weight: str | None = None
    tie: str | None = None
    voter: str | None = None

    @property
    def complete(self) -> bool:
        """Do they tell who met whom, and the outcome?"""
        if self.first and self.second:
            return bool(self.winner or self.counts or self.scores or self.one_hot or self.share)
        return bool(self.winner and self.loser)

    def names(self) -> list[str]:
        """Every column that has a role."""
        ends = (self.winner, self.loser, self.first, self.second, self.share, self.against)
        single = (*ends, self.weight, self.tie, self.voter)
        return [x for x in single if x] + [*self.counts, *self.scores, *self.one_hot, *self.hot_ties]


def side_of(name: str) -> tuple[str, str] | None:
    """(the column's content, its side) if a part of its name is a side.

    >>> side_of("model_a"), side_of("player2"), side_of("home score"), side_of("prompt")
    (('model', 'a'), ('player', '2'), ('score', 'home'), None)
    >>> side_of("team_1_goals"), side_of("model_b_wins")
    (('goals', '1'), ('wins', 'b'))
    """
    parts = [p for p in word(SPLIT.sub("_", name.strip())).split("_") if p]
    sides = {side for pair in SIDES for side in pair}
    for place in sorted(range(len(parts)), key=lambda k: (k != len(parts) - 1, k != 0, k)):
        if parts[place] in sides:
            stem = parts[:place] + parts[place + 1 :]
            short = [part for part in stem if part not in OWNERS]
            return "_".join(short or stem), parts[place]
    return None


def find_roles(names: Sequence[str], options: Options) -> Roles:
    """The role of each column by its name; the user's choices come first.  Errors: BadInput for a missing column."""
    asked = dict(options.columns)
    for role, name in asked.items():
        if name not in names:
            raise BadInput(f"columns: {role}={name}: the file has no such column{suggestion(name, names)}")
    for name in options.ignore:
        if name not in names:
            raise BadInput(f"ignore: the file has no column {name!r}{suggestion(name, names)}")
    free = [name for name in names if name not in options.ignore and name not in asked.values()]
    plain = {word(name): name for name in reversed(free)}

    def first_of(known: Sequence[str]) -> str | None:
        return next((plain[x] for x in known if x in plain), None)

    found = dict.fromkeys(("winner", "loser", "first", "second", "share"), None) | {
        {"p": "share"}.get(role, role): name for role, name in asked.items()
    }
    pairs = _paired(free)
    sided = any(stem in pairs for stem in NAMED)
    ends = next(((a, b) for a, b in ENDS if a in plain and b in plain and not (sided and (a, b) in WON_AND_LOST)), None)
    if not (asked.keys() & {"winner", "loser", "first", "second", "p"}) and ends:
        found["winner"], found["loser"] = plain[ends[0]], plain[ends[1]]
    if found["loser"]:
        return Roles(
            winner=found["winner"] or first_of(("winner", "chosen", "preferred", "better")),
            loser=found["loser"],
            weight=found.get("weight") or first_of(WEIGHTS),
            tie=found.get("tie") or first_of(TIES),
            voter=found.get("voter") or first_of(VOTERS),
        )
    if not (found["first"] and found["second"]):
        sides = next((pairs[stem] for stem in NAMED if stem in pairs), None)
        if sides:
            found["first"], found["second"] = sides
    taken = {found["first"], found["second"]}
    outcome = (
        None
        if asked.keys() & {"winner", "p"}
        else next((plain[x] for x in OUTCOMES if x in plain and plain[x] not in taken), None)
    )

    def two(stems: Sequence[str]) -> tuple[str, ...]:
        return next((pairs[s] for s in stems if s in pairs and not taken & set(pairs[s])), ())

    counts, scores, one_hot = two(COUNTED), two(SCORED), two(ONE_HOT)
    winner = found["winner"] or outcome
    if not counts:
        counts = next(((plain[a], plain[b]) for a, b in WON_AND_LOST if a in plain and b in plain), ())
    share, against = found["share"] or first_of(SHARES), None
    if share is None:
        share, against = _shared(free, pairs, found["first"])
    if winner:  # the winner is given, so counts and scores are other numbers
        counts, scores, one_hot, share, against = (), (), (), found["share"], None
    elif counts or one_hot:
        scores, share, against = (), found["share"], None
    weights = (*WEIGHTS, *TOTALS) if counts else WEIGHTS
    hot = tuple(plain[x] for x in (*TIED, *TIES) if x in plain) if one_hot else ()
    return Roles(
        winner=winner,
        first=found["first"],
        second=found["second"],
        counts=counts,
        scores=() if counts else scores,
        one_hot=one_hot,
        hot_ties=hot,
        share=share,
        against=against,
        weight=found.get("weight") or next((plain[x] for x in weights if x in plain and plain[x] != winner), None),
        tie=found.get("tie") or (None if hot else first_of(TIES)),
        voter=found.get("voter") or first_of(VOTERS),
    )


def _shared(
    names: Sequence[str], pairs: dict[str, tuple[str, str]], first: str | None
) -> tuple[str | None, str | None]:
    """The columns with the probability that the first and that the second wins: prob_a and prob_b, or prob_a alone."""
    both = next((pairs[stem] for stem in SHARED if stem in pairs), (None, None))
    mine = side_of(first or "")
    if both[0] is not None or mine is None:
        return both
    alone = (x for x in names if (side := side_of(x)) and side[0] in SHARED and _alike(side[1], mine[1]))
    return next(alone, None), None


def _alike(one: str, two: str) -> bool:
    """Are both the first of two sides?  "first" and "1" may refer to the side called a."""
    firsts = {a for a, _ in SIDES}
    return one == two or (one in ("first", "1") and two in firsts)


def _paired(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """stem -> (column of the first side, column of the second)."""
    sides = {side_of(name): name for name in reversed(names) if side_of(name)}
    pairs: dict[str, tuple[str, str]] = {}
    for a, b in SIDES:
        for stem, side in [key for key in sides if key]:
            if side == a and (stem, b) in sides:
                pairs.setdefault(stem, (sides[stem, a], sides[stem, b]))
    return pairs


def unused(sheet: Sheet, roles: Roles, options: Options) -> tuple[str, ...]:
    """The columns to ignore: text and known bookkeeping.  Numbers and marks of ties without a role are refused by
    name."""
    mine = set(roles.names())
    others = [name for name in sheet.names if name not in mine]
    for name in others:
        if name in options.ignore or PASSED.fullmatch(word(name)) or word(name) in VOTERS:
            continue
        kind = sheet.holds(name)
        if kind in ("numbers", "marks"):
            what = "numbers" if kind == "numbers" else "marks that may be outcomes"
            raise BadInput(
                f"the column {name!r} holds {what} of unknown meaning: give it a role "
                f"(--columns weight={name}, tie={name}, ...) or ignore it with --ignore {name}"
            )
    return tuple(others)
