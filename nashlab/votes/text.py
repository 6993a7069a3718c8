"""Bytes -> text -> rows -> exact numbers: compression, byte order marks, delimiters, decimal commas, percentages."""

from __future__ import annotations

import codecs
import csv
import functools
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from fractions import Fraction

from nashlab.game import BadInput, first_line

__all__ = ["Delimited", "as_text", "check_unpacked", "is_numeric", "open_delimited", "parse_number", "unpacked"]

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
RATIO = re.compile(r"[+-]?\d+/0*[1-9]\d*", re.ASCII)
NUMERIC = re.compile(r"[+-]?(\d[\d./]*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d{1,3})?%?", re.ASCII)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)
THOUSANDS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+", re.ASCII)
QUOTED_COMMA = re.compile(r'"\s*[+-]?\d*,\d+\s*%?\s*"', re.ASCII)
DIGITS = 400  # of one number: a longer cell is a mistake or an attack on the parser
LARGEST = 10**300  # in size, so that sums and differences of two entries stay finite doubles
LONGEST = 2**31  # bytes of a file of votes, also after decompression
AT_EASE = 2**26  # bytes to which any packed file may unpack;
TIMES = 200  # beyond, as many times its own: no log of different votes packs so well, but a bomb does
SAMPLE = 2**16  # characters that tell the delimiter
# empty cells, as written by spreadsheets and libraries
MISSING = {"", "na", "n/a", "n.a.", "#n/a", "nan", "null", "none", "-", "--", "---", "–", "—", "<na>"}


# -- numbers ---------------------------------------------------------------------------------------------------------


def parse_number(text: str, where: str) -> Fraction:
    """An exact number: an integer, a decimal with optional exponent, a ratio p/q, or a percentage.

    >>> parse_number("1e-3", "here"), parse_number("5/9", "here"), parse_number("70%", "here")
    (Fraction(1, 1000), Fraction(5, 9), Fraction(7, 10))
    """
    try:
        return _fraction(text.strip())
    except BadInput as error:
        raise BadInput(f"{where}: {error}" if where else str(error)) from None


@functools.lru_cache(maxsize=2**16)  # counts repeat, so most cells of a large table hit the cache
def _fraction(word: str) -> Fraction:
    if len(word) > DIGITS:
        raise BadInput(f"a number of {len(word)} characters, must have at most {DIGITS}")
    plain = word[:-1].rstrip() if word.endswith("%") else word
    # the pattern bounds the exponent: Fraction("1e999999999") would compute for hours
    if not (NUMBER.fullmatch(plain) or RATIO.fullmatch(plain)):
        raise BadInput(f"{word[:40]!r} is not a finite number" if word else "is empty, must be a number")
    value = Fraction(plain) / (1 if plain is word else 100)
    if value and not Fraction(1, LARGEST) < abs(value) < LARGEST:
        raise BadInput(f"{word[:40]} is not a usable number, must be 0 or between 1e-300 and 1e300 in size")
    return value


def is_numeric(cell: str) -> bool:
    """Was it meant as a number, even a refused one: a border of such cells holds no names."""
    return bool(NUMERIC.fullmatch(cell.removesuffix("%").rstrip()))


# -- bytes -> text ---------------------------------------------------------------------------------------------------


def check_unpacked(size: float, packed: int) -> None:
    """Refuse what unpacks to more than a file may have, or to far more than its own size."""
    if size > LONGEST:
        raise BadInput(f"unpacks to more than {LONGEST / 2**30:.0f} GiB")
    if size > max(AT_EASE, TIMES * packed):
        raise BadInput(f"unpacks to more than {TIMES} times its {packed:,} bytes; if that is right, unpack it first")


def unpacked(data: bytes, suffix: str, inner: str = "") -> tuple[bytes, str]:
    """The content of a gzip, bzip2, xz or one-member zip file, and the suffix of what is inside; others unchanged.

    inner  the suffix before the last one of the file's name (".csv" of "votes.csv.gz").
    """
    if data.startswith(b"PK\x03\x04"):
        return _unzipped(data)
    packers = ((b"\x1f\x8b", "gzip", ".gz"), (b"BZh", "bz2", ".bz2"), (b"\xfd7zXZ\x00", "lzma", ".xz"))
    for magic, module, ending in packers:
        if data.startswith(magic):
            import importlib

            try:
                with importlib.import_module(module).open(io.BytesIO(data)) as file:
                    content = file.read(min(LONGEST, max(AT_EASE, TIMES * len(data))) + 1)
            except Exception as error:  # each module raises its own errors for a broken or truncated file
                raise BadInput(f"cannot be unpacked as {module} ({first_line(error)})") from None
            check_unpacked(len(content), len(data))
            return content, (inner if suffix == ending else suffix)
    if suffix in (".gz", ".bz2", ".xz", ".zip"):
        raise BadInput(f"is not a {suffix} file")
    return data, suffix


def _unzipped(data: bytes) -> tuple[bytes, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
            if any(m.filename in ("[Content_Types].xml", "mimetype") for m in members):
                raise BadInput("is a spreadsheet or an office document; export its table as CSV")
            if len(members) != 1:
                raise BadInput(f"is an archive of {len(members)} files, must hold exactly one")
            check_unpacked(members[0].file_size, len(data))
            name = members[0].filename
            return archive.read(members[0]), ("." + name.rsplit(".", 1)[1].lower() if "." in name else "")
    except BadInput:
        raise
    except Exception as error:  # a broken archive can make zipfile raise anything
        raise BadInput(f"is not a readable zip archive ({first_line(error)})") from None


def as_text(data: bytes) -> str:
    """UTF-8 text, with or without a byte order mark; UTF-16 with one, as spreadsheets write it."""
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not wide and (place := data.find(b"\0")) >= 0:
        raise BadInput(f"is not text (byte {place} is 0)")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"is not {'UTF-16' if wide else 'UTF-8'} text (byte {error.start})") from None


# -- text -> rows ----------------------------------------------------------------------------------------------------


class Delimited:
    """Delimited text with known delimiter and decimal sign.

    delimiter  "," ";" tab "|" "^" "~", or " " for any white space.
    comma      are its decimals written 0,7?  None if commas may also separate thousands: such a number is refused.
    """

    def __init__(self, text: str, delimiter: str):
        self.text, self.delimiter = text, delimiter
        self.comma = self._decimal_comma() if "," in text else False
        self.dubious: bool | None = None  # points that may separate thousands: checked when a number has one

    def rows(self) -> Iterator[list[str]]:
        """The rows that are not blank, cells stripped."""
        for row in self.text.splitlines() if self.delimiter == " " else csv_rows(self.text, self.delimiter):
            cells = [cell.strip() for cell in (row.split() if isinstance(row, str) else row)]
            if any(cells):
                yield cells

    def number_text(self, cell: str) -> str:
        """A cell with a point for its decimal comma.  Errors: BadInput if 1,000 may be one or a thousand."""
        if "," in cell and self.comma is None and THOUSANDS.fullmatch(cell):
            raise BadInput(f"{cell}: commas are before three digits everywhere: decimals or thousands? write a point")
        if self.delimiter == ";" and "." in cell and THOUSANDS_POINT.fullmatch(cell):
            if self.dubious is None:
                self.dubious = self._points_before_thousands()
            if self.dubious:
                raise BadInput(f"{cell}: points are before three digits everywhere: decimals or thousands?")
        return cell.replace(",", ".") if self.comma and DECIMAL_COMMA.fullmatch(cell) else cell

    def _decimal_comma(self) -> bool | None:
        if self.delimiter == "," and not QUOTED_COMMA.search(self.text):
            return False  # in such a file only quotes protect a comma
        found = False
        for row in self.rows():
            for cell in row:
                if "," in cell and (DECIMAL_COMMA.fullmatch(cell) or THOUSANDS.fullmatch(cell)):
                    if not THOUSANDS.fullmatch(cell) or cell.lstrip("+-").startswith("0"):
                        return True
                    found = True
        return None if found else False

    def _points_before_thousands(self) -> bool:
        """Does every number with a point have three digits after it, and no leading 0?"""
        numbers = (cell for row in self.rows() for cell in row if "." in cell and is_numeric(cell))
        return all(THOUSANDS_POINT.fullmatch(cell) for cell in numbers)


def csv_rows(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(_lines(text), delimiter=delimiter)
    except csv.Error as error:
        raise BadInput(f"is not a table ({error})") from None


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends, as they are asked for: a StringIO takes four bytes a letter of the whole text."""
    if "\r" in text and text.count("\r") != text.count("\r\n"):
        yield from io.StringIO(text, newline="")
        return
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def open_delimited(text: str) -> Delimited:
    """Text with the delimiter that cuts all its first rows to one width; a semicolon, tab or bar before a comma.

    A first line ``sep=;``, as spreadsheets write it, takes precedence.

    >>> open_delimited("0,5;0,7").delimiter, open_delimited("a,b").delimiter, open_delimited("0 7").delimiter
    (';', ',', ' ')
    """
    if match := re.match(r"\s*\"?sep=([^\w\s]|\t)\"?[ \t]*\r?\n", text, re.IGNORECASE):
        return Delimited(text[match.end() :], match[1])
    return Delimited(text, _delimiter(text))


def _delimiter(text: str) -> str:
    sample = text.lstrip()[:SAMPLE]
    first = sample.split("\n", 1)[0]
    if len(sample) == SAMPLE and "\n" in sample:
        sample = sample[: sample.rindex("\n")]
    for delimiter in "\t;|,":
        if delimiter in first and _one_width(sample, delimiter) and not (delimiter == "," and _blanks(sample)):
            return delimiter
    delimiter = max(",;\t|", key=first.count)
    if delimiter not in first:
        delimiter = next((x for x in "^~" if x in first and _one_width(sample, x)), " ")
    return " " if delimiter == "," and _blanks(sample) else delimiter


def _blanks(sample: str) -> bool:
    """Numbers with decimal commas between blanks: 0,5 0,7."""
    first = sample.split("\n", 1)[0].split()
    return len(first) > 1 and all(DECIMAL_COMMA.fullmatch(word) for word in sample.split())


def _one_width(sample: str, delimiter: str) -> bool:
    try:
        rows: Sequence[list[str]] = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)]
    except csv.Error:
        return False
    widths = {len(row) for row in rows if any(cell.strip() for cell in row)}
    return len(widths) == 1 and widths != {1}
