"""A subtitle's lines: how wide a text is, and where it may be broken, after Unicode's rules (UAX 14, from ICU)."""

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from icu4py.breakers import CharacterBreaker, LineBreaker

from common.text.joining import Script, script

LINE_WIDTH: Final = 42
"""Columns of a subtitle's line, of which there are two; East Asian characters take two columns each."""

# Named after Japanese, these rules keep the phrases of Japanese and the words of Chinese and Korean whole.
_PHRASES: Final = "ja-u-lw-phrase"
_CHARACTERS: Final = "ja-u-lb-strict"

AT_PHRASE: Final = 0.0
IN_PHRASE: Final = 0.4  # between two characters of a Chinese word or a Japanese phrase
IN_WORD: Final = 2.0  # after the hyphen or the slash in a word
_ANYWHERE: Final = 20.0
_TOO_WIDE: Final = 100.0  # for each column

# Marks of other scripts after which nobody breathes, though their category is that of the comma.
_NO_BREATH: Final = frozenset("·・‧་༌‰‱′″‴※†‡•⁂〃")
_CLOSING: Final = "\"'”’)]}»›」』）】》〉"


def columns(text: str) -> int:
    """How wide a text is."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def ends_clause(text: str) -> bool:
    """Whether the text ends with a mark after which people breathe."""
    mark = text.strip().rstrip(_CLOSING)[-1:]
    if not mark:
        return False
    foreign = mark > "\u036f" and mark not in _NO_BREATH and unicodedata.category(mark) == "Po"
    return foreign or mark in ".?!,;:—–…"


def breaks(text: str) -> dict[int, float]:
    """The offsets at which a line may begin, and what it costs to break there: AT_PHRASE, IN_PHRASE or IN_WORD."""
    phrases = set(_ends(LineBreaker(text, _PHRASES)))
    # The dictionary of Thai divides what is no word of it anywhere, also before a vowel sign.
    whole = set(clusters(text))
    found: dict[int, float] = {}
    for end in _ends(LineBreaker(text, _CHARACTERS)):
        if end in whole:
            spaced = {script(text[end - 1]), script(text[end])} == {Script.SPACED}
            at_phrase = text[end - 1].isspace() or (end in phrases and not spaced)
            found[end] = AT_PHRASE if at_phrase else IN_WORD if spaced else IN_PHRASE
    return found


def fits(text: str) -> bool:
    """Whether two lines hold a text without breaking a word."""
    if columns(text) <= LINE_WIDTH:
        return True
    costs = breaks(text)
    return any(costs[at] < IN_WORD and _excess(sides) == 0 for at, sides in _sides(text, costs).items())


def lines(text: str) -> tuple[str, ...]:
    """Break a text that is wider than a line in two, near its middle, and inside a word only if nothing else fits."""
    total = columns(text)
    if total <= LINE_WIDTH:
        return (text,)
    costs = breaks(text)
    if not costs or (total <= 2 * LINE_WIDTH and not any(_excess(each) == 0 for each in _sides(text, costs).values())):
        costs = dict.fromkeys(clusters(text), _ANYWHERE) | costs
    sides = _sides(text, costs)

    def cost(at: int) -> float:
        """Add up a word torn, unequal lines, no breath, and worst a line that is too wide."""
        unequal = abs(2 * sides[at][0] - total) / total
        return costs[at] + unequal - 0.2 * ends_clause(text[:at]) + _TOO_WIDE * _excess(sides[at])

    at = min(costs, key=cost, default=total)
    return tuple(line for line in (text[:at].rstrip(), text[at:].lstrip()) if line)


def pieces(text: str) -> list[str]:
    """Cut a text into pieces that one line holds, where it may be broken, else between two characters."""
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
    """The offsets between what readers take for characters: a letter with its vowel signs, a family of emoji."""
    return list(_ends(CharacterBreaker(text, "en")))[:-1]


def _ends(parts: Iterable[str]) -> Iterator[int]:
    # ICU itself counts in UTF-16, in which an emoji has two places.
    return accumulate(map(len, parts))


def _sides(text: str, offsets: Iterable[int]) -> dict[int, tuple[int, int]]:
    """The columns on either side of each offset, without the space between them."""
    widths = [0, *accumulate(map(columns, text))]
    return {at: (widths[len(text[:at].rstrip())], widths[-1] - widths[at]) for at in offsets}


def _excess(sides: tuple[int, int]) -> int:
    return max(*sides, LINE_WIDTH) - LINE_WIDTH
