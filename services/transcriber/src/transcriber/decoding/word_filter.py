"""Which words of a window are believed: where the voice detector finds no speech, the model must be surer of them.

Whisper writes over any sound: it goes on with a sentence, or writes what stands in subtitles where nobody speaks. The
words alone do not show it. But in recordings that are noisy, quiet, far away or from a telephone, each word that was
really spoken has a probability of speech of 0.3 at least near it, and on noise there is hardly ever so much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean, median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines.base import Window, WindowResult, Word
from transcriber.speech.detector import FRAME
from transcriber.speech.spans import SPEECH
from transcriber.text import stock_phrases

from . import segments

Probabilities = NDArray[np.float32]
"""The detector's answer for every 32 ms of a window: see vad.heard."""

FAINT: Final = 0.3  # probability of speech that every spoken word has near it, even by telephone
_NEAR: Final = 0.3  # seconds around a word that speak for it: alignment is no more exact
_FRAMES: Final = 4  # of 32 ms with at least this probability: a click has fewer
# What the model has to be sure of to be believed without speech, as mean probability of words and mean log probability.
_SURE: Final = 0.9
_SURE_TEXT: Final = -0.25
# Where there is a little speech or some, less is enough.
_UNSURE: Final = 0.25
_UNSURE_TEXT: Final = -0.7
_UNSURE_OF_CREDIT: Final = 0.5
# Text that is beyond doubt, so that the sound need not be looked at: the detector takes time too.
_CLEAR: Final = 0.7
_CLEAR_TEXT: Final = -0.3
# A noise beside speech: it may spoil the words in the same window.
_NOISE: Final = 0.1  # probability of speech below which it is none
_MARGIN: Final = 16  # frames (0.5 s) between speech and noise that stay as they are
_LASTING: Final = 31  # frames: 1 s
_SOUNDING: Final = 0.01  # of the scale: what is quieter spoils nothing
_LONGEST_WORD: Final = 2.0  # seconds
_FEW_BYTES_PER_SECOND: Final = 7.0


def is_clear(result: WindowResult, seconds: float) -> bool:
    """Whether nothing in a window's text gives reason to look at its sound."""
    if not result.text:
        return True
    if result.avg_logprob < _CLEAR_TEXT or len(result.text.encode()) < seconds * _FEW_BYTES_PER_SECOND:
        return False
    return all(
        _sureness(words) >= _CLEAR
        and not stock_phrases.begins(_text(words))
        and all(_has_length(word) for word in words)
        for words in segments.runs(result.words, result.language)
    )


def believed(result: WindowResult, probabilities: Probabilities) -> WindowResult:
    """Leave out what nobody said; `probabilities` are those of the window."""
    if result.text and not result.words:
        whole = Word(0.0, len(probabilities) * FRAME / SAMPLE_RATE, result.text, float(np.exp(result.avg_logprob)))
        return result if _is_believed([whole], result, probabilities) else replace(result, text="")
    kept = [
        word
        for phrase in segments.runs(result.words, result.language)
        for part in _parts(phrase, probabilities)
        if _is_believed(part, result, probabilities)
        for word in part
    ]
    if len(kept) == len(result.words):
        return result
    return replace(result, words=tuple(kept), text=_text(kept))


def speech_near(probabilities: Probabilities, start: float, end: float) -> float:
    """How probable speech is in a stretch of a window, in seconds: what a few of its frames have at least."""
    first, last = int(start * SAMPLE_RATE / FRAME), int(end * SAMPLE_RATE / FRAME) + 1
    inside = np.sort(probabilities[max(0, first) : max(0, last)])
    return float(inside[-_FRAMES]) if len(inside) >= _FRAMES else 0.0


def without_noises(window: Window, probabilities: Probabilities) -> Window | None:
    """Silence what lasts, sounds and is far from any speech; None where there is no such noise, or nothing else."""
    if speech_near(probabilities, 0.0, len(window) / SAMPLE_RATE) < SPEECH:
        return None
    around = np.convolve(probabilities >= _NOISE, np.ones(2 * _MARGIN + 1))[_MARGIN : _MARGIN + len(probabilities)] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[True], around, [True]]).astype(np.int8)))
    quieted = window.copy()
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        part = quieted[first * FRAME : last * FRAME]
        if last - first >= _LASTING and np.abs(part).max() >= _SOUNDING:
            part[:] = 0.0
    return None if np.array_equal(quieted, window) else quieted


def _is_believed(words: Sequence[Word], result: WindowResult, probabilities: Probabilities) -> bool:
    spoken = median(_evidence(word, probabilities) for word in words)
    sure, text = _sureness(words), result.avg_logprob
    is_credit = stock_phrases.resembles(_text(words))
    if spoken >= SPEECH:
        return not is_credit or sure >= _UNSURE_OF_CREDIT
    if is_credit:
        return False
    if spoken >= FAINT:
        return sure >= _UNSURE and text >= _UNSURE_TEXT
    return sure >= _SURE and text >= _SURE_TEXT


def _parts(words: Sequence[Word], probabilities: Probabilities) -> Iterator[Sequence[Word]]:
    """Cut a phrase where speech begins or ends, and before a credit that follows speech; a credit stays in one."""
    if stock_phrases.resembles(_text(words)):
        yield words
        return
    spoken = [_evidence(word, probabilities) for word in words]
    cut = next((index for index in _credits_within(words) if median(spoken[index:]) < FAINT), len(words))
    for _, part in groupby(range(cut), key=lambda index: spoken[index] >= FAINT):
        yield [words[index] for index in part]
    if cut < len(words):
        yield words[cut:]


def _credits_within(words: Sequence[Word]) -> Iterator[int]:
    """Yield the words with which something begins that may be a credit and goes on to the end of the phrase."""
    for index in range(1, len(words)):
        if words[index].word.startswith(" ") and stock_phrases.begins(_text(words[index:])):
            yield index


def _evidence(word: Word, probabilities: Probabilities) -> float:
    return speech_near(probabilities, word.start - _NEAR, word.end + _NEAR)


def _sureness(words: Sequence[Word]) -> float:
    return fmean(word.probability for word in words)


def _has_length(word: Word) -> bool:
    return 0 < word.end - word.start < _LONGEST_WORD


def _text(words: Sequence[Word]) -> str:
    return "".join(word.word for word in words).strip()
