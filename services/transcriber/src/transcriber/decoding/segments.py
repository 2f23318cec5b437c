"""Split words into caption-sized segments at sentence ends and pauses, so that each can be read as a subtitle."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from common.text.sentences import sentence_ends
from transcriber.engines.base import Word
from transcriber.text.line_breaks import IN_WORD, LINE_WIDTH, breaks, columns, ends_clause, fits, split_to_width

MAX_SECONDS = 7.0
PAUSE_SECONDS = 0.8
_SHORT = 20  # letters
_SHORT_GAP_SECONDS = 0.5


def split(words: Sequence[Word], language: str | None = None) -> Iterator[list[Word]]:
    """Group words, ordered and timed as in the recording, into segments; `language` is that of the text."""
    narrow = [piece for word in words for piece in _fit_lines(word)]
    yield from _join_short([piece for sentence in sentences(narrow, language) for piece in _fitting(sentence)])


def _fit_lines(word: Word) -> Iterator[Word]:
    """Split a word that is wider than a line, as in Khmer, which has no spaces, and divide its time."""
    texts = split_to_width(word.word)
    widths = list(accumulate(map(columns, texts), initial=0))
    moments = [word.start + (word.end - word.start) * width / max(1, widths[-1]) for width in widths]
    moments = [word.start, *(round(moment, 3) for moment in moments[1:-1]), word.end]
    for text, (start, end) in zip(texts, pairwise(moments), strict=True):
        yield replace(word, start=start, end=end, word=text)


def sentences(words: Sequence[Word], language: str | None) -> Iterator[list[Word]]:
    """Split words after sentence ends and in pauses."""
    ends = set(sentence_ends("".join(word.word for word in words), language, small=True))
    sentence: list[Word] = []
    for word, begins in zip(words, _begins(words), strict=True):
        if sentence and (word.start - sentence[-1].end >= PAUSE_SECONDS or begins in ends):
            yield sentence
            sentence = []
        sentence.append(word)
    if sentence:
        yield sentence


def _fitting(sentence: Sequence[Word]) -> Iterator[list[Word]]:
    """Halve a sentence that is too long for a caption, at the best place near its middle, until every piece fits."""
    waiting = [list(sentence)]
    while waiting:
        piece = waiting.pop()
        if len(piece) == 1 or _fits(piece):
            yield piece
        else:
            middle = _best_cut(piece)
            waiting += [piece[middle:], piece[:middle]]


def _best_cut(words: Sequence[Word]) -> int:
    """Return the index of the first word after the cut."""
    total = _width(words)
    halves = max(2.0, total / (2 * LINE_WIDTH), (words[-1].end - words[0].start) / MAX_SECONDS)
    target = total / halves if halves > 2 else total / 2
    allowed, begins = breaks(_text(words)), _begins(words)
    best, best_cost, width = 1, float("inf"), 0.0
    for index, (before, after) in enumerate(pairwise(words), start=1):
        width += columns(before.word)
        cost = abs(width - target) / total - min(after.start - before.end, PAUSE_SECONDS) / 2
        cost += allowed.get(begins[index], IN_WORD)
        # Full stops inside a sentence are those of abbreviations.
        if ends_clause(before.word) and not before.word.endswith("."):
            cost -= 0.25
        if cost < best_cost:
            best, best_cost = index, cost
    return best


def _join_short(pieces: Sequence[list[Word]]) -> Iterator[list[Word]]:
    """Join a very short piece with the next one, so that every caption can be read."""
    pending: list[Word] = []
    for piece in pieces:
        joined = [*pending, *piece]
        close = bool(pending) and piece[0].start - pending[-1].end < _SHORT_GAP_SECONDS
        if pending and not (close and _weight(pending) < _SHORT and _fits(joined)):
            yield pending
            joined = piece
        pending = joined
    if pending:
        yield pending


def _fits(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start <= MAX_SECONDS and fits(_text(words).strip())


def _text(words: Sequence[Word]) -> str:
    return "".join(word.word for word in words)


def _begins(words: Sequence[Word]) -> list[int]:
    """The offset of each word's first letter in the joined text."""
    before = accumulate((len(word.word) for word in words), initial=0)
    return [at + len(word.word) - len(word.word.lstrip()) for word, at in zip(words, before, strict=False)]


def _weight(words: Sequence[Word]) -> int:
    """The length of the text in letters: a Chinese character or a Korean syllable counts as four."""
    return sum(columns(letter) ** 2 for letter in _text(words))


def _width(words: Sequence[Word]) -> int:
    return sum(columns(word.word) for word in words)
