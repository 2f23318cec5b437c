"""From words to caption-sized segments: cut at sentence ends and pauses, so that each can be read as a subtitle."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from .engines.base import Word

MAX_SECONDS = 7.0
LINE_WIDTH = 42
"""Columns of a subtitle's line, of which there are two; East Asian characters take two columns each."""
PAUSE_SECONDS = 0.8
_SHORT_WIDTH = 20
_SHORT_GAP_SECONDS = 0.5

_SENTENCE_END = ".?!。?!…"
_CLAUSE_END = ",;:，、；：—–"
_CLOSING = "\"'”’)]}»」』"
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "no.", "vs.", "prof.", "e.g.", "i.e.", "etc."})


def cut(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Group words, in the order and the time of the recording, into segments."""
    yield from _together([piece for run in _runs(words) for piece in _fitting(run)])


def columns(text: str) -> int:
    """How wide a text is."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def ends_clause(text: str) -> bool:
    """Whether the text ends with a mark after which people breathe."""
    return _ends(text, _SENTENCE_END + _CLAUSE_END)


def _runs(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Cut after sentence ends and in pauses."""
    run: list[Word] = []
    for word in words:
        if run and (word.start - run[-1].end >= PAUSE_SECONDS or _ends_sentence(run[-1].word, word.word)):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _fitting(run: Sequence[Word]) -> Iterator[list[Word]]:
    """Halve a run that is too long for a caption, at the best place near its middle, until every piece fits."""
    pieces = [list(run)]
    while pieces:
        piece = pieces.pop()
        if len(piece) == 1 or _fits(piece):
            yield piece
        else:
            middle = _best_cut(piece)
            pieces += [piece[middle:], piece[:middle]]


def _best_cut(words: Sequence[Word]) -> int:
    """Return the index of the first word after the cut."""
    total = _width(words)
    halves = max(2.0, total / (2 * LINE_WIDTH), (words[-1].end - words[0].start) / MAX_SECONDS)
    target = total / halves if halves > 2 else total / 2
    best, best_cost, width = 1, float("inf"), 0.0
    for index, (before, after) in enumerate(pairwise(words), start=1):
        width += columns(before.word)
        cost = abs(width - target) / total - min(after.start - before.end, PAUSE_SECONDS) / 2
        if _ends(before.word, _CLAUSE_END):
            cost -= 0.25
        if cost < best_cost:
            best, best_cost = index, cost
    return best


def _together(runs: Sequence[list[Word]]) -> Iterator[list[Word]]:
    """Join a very short run with the one after it, so that no caption flashes by."""
    held: list[Word] = []
    for run in runs:
        joined = [*held, *run]
        close = bool(held) and run[0].start - held[-1].end < _SHORT_GAP_SECONDS
        if held and not (close and _width(held) < _SHORT_WIDTH and _fits(joined)):
            yield held
            joined = run
        held = joined
    if held:
        yield held


def _fits(words: Sequence[Word]) -> bool:
    if words[-1].end - words[0].start > MAX_SECONDS:
        return False
    widths = list(accumulate(columns(word.word) for word in words))
    # The space before a line's first word is not shown.
    return any(left <= LINE_WIDTH + 1 and widths[-1] - left <= LINE_WIDTH + 1 for left in widths)


def _width(words: Sequence[Word]) -> int:
    return sum(columns(word.word) for word in words)


def _ends(word: str, marks: str) -> bool:
    bare = word.strip().rstrip(_CLOSING)
    return bool(bare) and bare[-1] in marks


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.strip().lower()
    initial = len(bare) == 2 and bare[0].isalpha()
    # "3.5" and "U.S.A" come in pieces without a space before the next one.
    unspaced = bare[-1:] == "." and not following.startswith(" ")
    return _ends(word, _SENTENCE_END) and bare not in _ABBREVIATIONS and not initial and not unspaced
