"""Votes: files of human comparisons -> counted comparisons -> :class:`PreferenceGame`, every number kept exactly.

    .csv .tsv .txt        a matrix with optional names, a comparison log, or a table of ballots, told by its columns
    .json .jsonl .ndjson  {"preferences" | "wins" | "margins": ...}, a list of records, one record per line
    .parquet .arrow       columns of a log or of ballots
    .npy                  a 2-D or 3-D array, never pickled
    .soc .soi .toc .toi .cat .wmd  PrefLib;  .cvotes  .abif  .blt  other files of elections
    .gz .bz2 .xz .zip     any of these, compressed

Each reading says how the file was understood (:class:`Reading`); an unknown layout is refused with the known ones.
"""

from nashlab.votes.build import Votes
from nashlab.votes.formats import LAYOUTS, parse_game, parse_votes, read_game, read_votes
from nashlab.votes.payoff import Sides, embedded, sides
from nashlab.votes.policies import read_positive, read_reference
from nashlab.votes.reading import KINDS, Ballots, Kind, Options, Reading
from nashlab.votes.strengths import Strengths, bradley_terry, components
from nashlab.votes.text import parse_number

__all__ = [
    "KINDS",
    "LAYOUTS",
    "Ballots",
    "Kind",
    "Options",
    "Reading",
    "Sides",
    "Strengths",
    "Votes",
    "bradley_terry",
    "components",
    "embedded",
    "parse_game",
    "parse_number",
    "parse_votes",
    "read_game",
    "read_positive",
    "read_reference",
    "read_votes",
    "sides",
]
