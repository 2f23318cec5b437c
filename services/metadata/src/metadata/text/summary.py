"""The most central sentences of a transcript, quoted.

This is LexRank (Erkan and Radev, 2004) with similarities as weights: sentences are the nodes of a graph, the cosine of
their words its edges, and the sentence that a random walker visits most is the most central one. The graph is never
built: it is the product of a thin matrix with itself, so ten hours of speech take a second and little memory.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .keywords import UNREADABLE, stop_words
from .sentences import Sentence, split
from .transcripts import Transcript

Vector = NDArray[np.float64]

_DAMPING = 0.85
_ROUNDS = 60
_SETTLED = 1e-7
_ALIKE = 0.5  # cosine above which two sentences are duplicates
_STEM = 6  # letters: an approximate stem, the same for every language
_FEWEST_WORDS, _MOST_CHARACTERS = 5, 400  # of a sentence that can stand alone in a summary
_SHARE = 3  # at most a third of the sentences
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+|[^\W\d_]+|\d+")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def summarise(transcript: Transcript, limit: int) -> list[Sentence]:
    """Up to `limit` sentences in the order of the recording; none for scripts whose words cannot be separated."""
    language = transcript.text_language
    if limit == 0 or language in UNREADABLE:
        return []
    sentences = split(transcript.segments, language)
    ignored = stop_words(language, transcript.text)
    words = [_words(sentence.text, ignored) for sentence in sentences]
    graph = _Graph(words)
    ranks = graph.ranks()
    candidates = [number for number, each in enumerate(sentences) if _stands_alone(each.text, words[number])]
    wanted = min(limit, math.ceil(len(sentences) / _SHARE))
    chosen: list[int] = []
    for number in sorted(candidates or range(len(sentences)), key=lambda number: (-ranks[number], number)):
        if len(chosen) == wanted:
            break
        if all(graph.similarity(number, other) <= _ALIKE for other in chosen):
            chosen.append(number)
    return [sentences[number] for number in sorted(chosen)]


def _words(text: str, ignored: frozenset[str]) -> Counter[str]:
    words: Counter[str] = Counter()
    for token in _TOKEN.findall(text.lower()):
        if _WIDE.match(token):  # no spaces: pairs of characters are used as words
            words.update(token[at : at + 2] for at in range(max(1, len(token) - 1)))
        elif token not in ignored and len(token) > 1:
            words[token[:_STEM]] += 1
    return words


def _stands_alone(text: str, words: Counter[str]) -> bool:
    return words.total() >= _FEWEST_WORDS and len(text) <= _MOST_CHARACTERS


class _Graph:
    """Sentences as unit vectors over words, weighted by how rare a word is; stored as triples."""

    def __init__(self, words: Sequence[Counter[str]]) -> None:
        self._size = len(words)
        used_in = Counter(word for each in words for word in each)
        self._column = {word: number for number, word in enumerate(used_in)}
        rare = {word: math.log(1 + self._size / count) for word, count in used_in.items()}
        self._vectors: list[dict[str, float]] = []
        for each in words:
            weights = {word: (1 + math.log(count)) * rare[word] for word, count in each.items()}
            norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
            self._vectors.append({word: weight / norm for word, weight in weights.items()})
        triples = [(row, self._column[word], w) for row, each in enumerate(self._vectors) for word, w in each.items()]
        rows, columns, weights_of = zip(*triples, strict=True) if triples else ((), (), ())
        self._rows, self._columns = np.array(rows, dtype=np.intp), np.array(columns, dtype=np.intp)
        self._weights = np.array(weights_of, dtype=np.float64)

    def similarity(self, one: int, other: int) -> float:
        """The cosine of two sentences."""
        vector = self._vectors[other]
        return sum(weight * vector.get(word, 0.0) for word, weight in self._vectors[one].items())

    def ranks(self) -> Vector:
        """How central each sentence is; they add up to about 1."""
        if self._size == 0:
            return np.zeros(0)
        degrees = np.maximum(self._neighbours(np.ones(self._size)), 1e-12)
        ranks = np.full(self._size, 1.0 / self._size)
        for _ in range(_ROUNDS):
            following = (1 - _DAMPING) / self._size + _DAMPING * self._neighbours(ranks / degrees)
            settled = float(np.abs(following - ranks).sum()) < _SETTLED
            ranks = following
            if settled:
                break
        return ranks

    def _neighbours(self, values: Vector) -> Vector:
        """Each sentence's sum over all others of their value times their similarity."""
        per_word = np.bincount(self._columns, self._weights * values[self._rows], minlength=max(1, len(self._column)))
        total = np.bincount(self._rows, self._weights * per_word[self._columns], minlength=self._size)
        own = np.bincount(self._rows, self._weights**2, minlength=self._size) * values
        return np.asarray(np.maximum(total - own, 0.0))
