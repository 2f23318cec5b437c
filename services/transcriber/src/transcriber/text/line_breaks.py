"""Break texts into subtitle lines: width, and permitted breaks by Unicode's rules (UAX 14, from ICU)."""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from icu4py.breakers import CharacterBreaker, LineBreaker

from common.text.joining import Script, script

LINE_WIDTH: Final = 42
"""Columns of a subtitle's line, of which there are two; East Asian characters take two columns each."""

# These rules keep the phrases of Japanese and the words of Chinese and Korean together.
_PHRASES: Final = "ja-u-lw-phrase"
_CHARACTERS: Final = "ja-u-lb-strict"

AT_PHRASE: Final = 0.0
IN_PHRASE: Final = 0.4  # between two characters of a Chinese word or a Japanese phrase
IN_WORD: Final = 2.0  # after the hyphen or the slash in a word
_ANYWHERE: Final = 20.0
_TOO_WIDE: Final = 100.0  # for each column

# Marks of other scripts that end no clause, although their category is that of the comma.
_NO_CLAUSE_END: Final = frozenset("·・‧་༌‰‱′″‴※†‡•⁂〃")
_CLOSING: Final = "\"'”’)]}»›」』）】》〉"


def columns(text: str) -> int:
    """The width of a text."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def ends_clause(text: str) -> bool:
    """Whether the text ends with a mark that ends a clause."""
    mark = text.strip().rstrip(_CLOSING)[-1:]
    if not mark:
        return False
    foreign = mark > "\u036f" and mark not in _NO_CLAUSE_END and unicodedata.category(mark) == "Po"
    return foreign or mark in ".?!,;:—–…"


def breaks(text: str) -> dict[int, float]:
    """Return the offsets at which a line may begin, and the cost of each: AT_PHRASE, IN_PHRASE or IN_WORD."""
    phrases = set(_ends(LineBreaker(text, _PHRASES)))
    # The Thai dictionary divides unknown words anywhere, even before a vowel sign.
    whole = set(clusters(text))
    found: dict[int, float] = {}
    for end in _ends(LineBreaker(text, _CHARACTERS)):
        if end in whole:
            spaced = {script(text[end - 1]), script(text[end])} == {Script.SPACED}
            at_phrase = text[end - 1].isspace() or (end in phrases and not spaced)
            found[end] = AT_PHRASE if at_phrase else IN_WORD if spaced else IN_PHRASE
    return found


def fits(text: str) -> bool:
    """Whether a text fits into two lines without a break in a word."""
    if columns(text) <= LINE_WIDTH:
        return True
    costs = breaks(text)
    return any(costs[at] < IN_WORD and _excess(sides) == 0 for at, sides in _sides(text, costs).items())


def wrap(text: str) -> tuple[str, ...]:
    """Break a text that is wider than a line in two, near its middle, and in a word only if nothing else fits."""
    total = columns(text)
    if total <= LINE_WIDTH:
        return (text,)
    costs = breaks(text)
    if not costs or (total <= 2 * LINE_WIDTH and not any(_excess(each) == 0 for each in _sides(text, costs).values())):
        costs = dict.fromkeys(clusters(text), _ANYWHERE) | costs
    sides = _sides(text, costs)

    def cost(at: int) -> float:
        """Sum the cost of a break in a word, unequal lines, no clause end, and most of all a line that is too wide."""
        unequal = abs(2 * sides[at][0] - total) / total
        return costs[at] + unequal - 0.2 * ends_clause(text[:at]) + _TOO_WIDE * _excess(sides[at])

    at = min(costs, key=cost, default=total)
    return tuple(line for line in (text[:at].rstrip(), text[at:].lstrip()) if line)


def split_to_width(text: str) -> list[str]:
    """Split a text into pieces that fit into a line, at permitted breaks, else between two characters."""
    found: list[str] = []
    while columns(text.strip()) > LINE_WIDTH:
        narrow = _narrow(text, breaks(text)) or _narrow(text, clusters(text)) or clusters(text)[:1]
        if not narrow:
            break
        found.append(text[: narrow[-1]])
        text = text[narrow[-1] :]
    return [*found, text]


def _narrow(text: str, offsets: Iterable[int]) -> list[int]:
    return [at for at in offsets if 0 < columns(text[:at].strip()) <= LINE_WIDTH]


def clusters(text: str) -> list[int]:
    """The offsets between user-perceived characters: a letter with its vowel signs, a sequence of emoji."""
    return list(_ends(CharacterBreaker(text, "en")))[:-1]


def _ends(parts: Iterable[str]) -> Iterator[int]:
    # ICU itself counts in UTF-16, where an emoji has two units.
    return accumulate(map(len, parts))


def _sides(text: str, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """The columns on either side of each offset, without the space between them."""
    widths = [0, *accumulate(map(columns, text))]
    return {at: (widths[len(text[:at].rstrip())], widths[-1] - widths[at]) for at in offsets}


def _excess(sides: tuple[int, int]) -> int:
    return max(*sides, LINE_WIDTH) - LINE_WIDTH
