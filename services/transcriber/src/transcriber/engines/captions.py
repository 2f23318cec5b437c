"""From aligned words to caption-sized segments: cut at sentence ends and pauses, short enough to read in a subtitle."""

import statistics
import string
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from .base import Segment, WindowResult, Word
from .guard import Decoded

MAX_SECONDS = 10.0
MAX_WIDTH = 84
"""Two subtitle lines of 42 columns; East Asian characters take two columns each."""
PAUSE_SECONDS = 0.8
_SHORT_WIDTH = 20
_SHORT_GAP_SECONDS = 0.5
_SHORTEST_SECONDS = 0.1
_LONGEST_MEDIAN_SECONDS = 0.7

_SENTENCE_END = ".?!。?!…"
_CLAUSE_END = ",;:，、；：—–"
_CLOSING = "\"'”’)]}»」』"
_OPENS = "\"'“¿([{-«「『"
# Inside a word, as in "well-known", "3.5", "U.S.A.": the tokens after it carry no space.
_INSIDE = ("-", ".", ",", "'", "’", "/", ":", "@", "_", "&")
_ABBREVIATIONS = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "no.", "vs.", "prof.", "e.g.", "i.e.", "etc."})


def result(decoded: Decoded, words: Sequence[Word], language: str) -> WindowResult:
    """Put a settled window, its aligned words and the language it was decoded in together as an engine's answer."""
    return WindowResult(
        text=decoded.text,
        avg_logprob=round(decoded.avg_logprob, 4),
        no_speech_prob=round(decoded.no_speech_prob, 4),
        segments=cut(decoded.text, words, decoded.seconds),
        language=language,
    )


def cut(text: str, words: Sequence[Word], seconds: float) -> tuple[Segment, ...]:
    """Group a window's words into segments; `seconds` is the window's length, which no time exceeds.

    A text whose words could not be aligned becomes one segment over the whole window, no text none at all.
    """
    if not words:
        return (Segment(0.0, round(seconds, 2), text, ()),) if text else ()
    timed = _within(_tamed(_joined(words)), seconds)
    runs = [piece for run in _runs(timed) for piece in _fitting(run)]
    segments: list[Segment] = []
    for run in _together(runs):
        segments.append(_segment(run, segments[-1].end if segments else 0.0, seconds))
    return tuple(segments)


def _joined(words: Iterable[Word]) -> list[Word]:
    """Give punctuation to the word it belongs to: opening marks to the next one, everything else to the one before."""
    joined: list[Word] = []
    opening: Word | None = None
    for word in words:
        current = word
        if opening is not None:
            current = Word(opening.start, word.end, opening.word + word.word, word.probability)
            opening = None
        bare = current.word.strip()
        if current.word.startswith(" ") and bare and bare in _OPENS:
            opening = current
        elif joined and not current.word.startswith(" ") and _is_punctuation(bare):
            before = joined[-1]
            joined[-1] = Word(before.start, before.end, before.word + current.word, before.probability)
        elif joined and current.word[:1] in _INSIDE and joined[-1].word[-1:].isalnum():
            before = joined[-1]
            probability = min(before.probability, current.probability)
            joined[-1] = Word(before.start, current.end, before.word + current.word, probability)
        else:
            joined.append(current)
    return joined if opening is None else [*joined, opening]


def _tamed(words: Sequence[Word]) -> Iterator[Word]:
    """Shorten words that the alignment stretched over a pause, from the side where the pause is."""
    lengths = [word.end - word.start for word in words if word.end > word.start]
    longest = 2 * min(_LONGEST_MEDIAN_SECONDS, statistics.median(lengths)) if lengths else 0.0
    after_stop = True
    for word in words:
        start, end = word.start, max(word.start, word.end)
        if end - start > longest:
            if after_stop:
                start = end - longest
            elif _ends(word.word, _SENTENCE_END + _CLAUSE_END):
                end = start + longest
        after_stop = _ends(word.word, _SENTENCE_END + _CLAUSE_END)
        yield Word(start, end, word.word, word.probability)


def _within(words: Iterable[Word], seconds: float) -> list[Word]:
    """Clip to the window, make times run forward, round to what the model resolves (0.02 s)."""
    clipped: list[Word] = []
    earliest = 0.0
    for word in words:
        start = round(min(max(word.start, earliest), seconds), 2)
        end = round(min(max(word.end, start), seconds), 2)
        earliest = end
        clipped.append(Word(start, end, word.word, round(word.probability, 3)))
    return clipped


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
            cut = _best_cut(piece)
            pieces += [piece[cut:], piece[:cut]]


def _best_cut(words: Sequence[Word]) -> int:
    """Return the index of the first word after the cut."""
    total = _width(words)
    halves = max(2.0, total / MAX_WIDTH, (words[-1].end - words[0].start) / MAX_SECONDS)
    target = total / halves if halves > 2 else total / 2
    best, best_cost, width = 1, float("inf"), 0.0
    for index, (before, after) in enumerate(pairwise(words), start=1):
        width += _columns(before.word)
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


def _segment(words: Sequence[Word], earliest: float, seconds: float) -> Segment:
    """Give a segment the span of its words, stretched to a visible length where the window has room for it."""
    text = "".join(word.word for word in words).strip()
    start = max(earliest, min(words[0].start, seconds - _SHORTEST_SECONDS))
    end = max(start, min(max(words[-1].end, start + _SHORTEST_SECONDS), seconds))
    return Segment(round(start, 2), round(end, 2), text, tuple(words))


def _fits(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start <= MAX_SECONDS and _width(words) <= MAX_WIDTH


def _width(words: Sequence[Word]) -> int:
    return sum(_columns(word.word) for word in words)


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _ends(word: str, marks: str) -> bool:
    bare = word.strip().rstrip(_CLOSING)
    return bool(bare) and bare[-1] in marks


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.strip().lower()
    initial = len(bare) == 2 and bare[0].isalpha()
    # "3.5" and "U.S.A" come in pieces without a space before the next one.
    unspaced = bare[-1:] == "." and not following.startswith(" ")
    return _ends(word, _SENTENCE_END) and bare not in _ABBREVIATIONS and not initial and not unspaced


def _is_punctuation(text: str) -> bool:
    return bool(text) and all(
        letter in string.punctuation or unicodedata.category(letter).startswith("P") for letter in text
    )
