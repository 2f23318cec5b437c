"""Drop words without speech: where the voice detector finds none, the model's probability must be higher.

Whisper writes text over any sound: it continues a sentence, or writes what subtitles hold where there is no speech. The
words alone do not show it. But in recordings that are noisy, quiet, distant or from a telephone, each spoken word has a
probability of speech of at least 0.3 near it, and on noise the probability is hardly ever that high.
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
"""The detector's probability of speech for every 32 ms of a window: see detector.speech_probabilities."""

FAINT_SPEECH: Final = 0.3  # probability of speech near every spoken word, even by telephone
_NEAR: Final = 0.3  # seconds around a word that count for it: alignment is not more exact
_FRAMES: Final = 4  # of 32 ms with at least this probability: a click has fewer
# Without speech, words are kept from this mean probability of words and mean log probability on.
_CERTAIN: Final = 0.9
_CERTAIN_LOGPROB: Final = -0.25
# With faint speech, or with speech, less is enough.
_UNCERTAIN: Final = 0.25
_UNCERTAIN_LOGPROB: Final = -0.7
_UNCERTAIN_STOCK_PHRASE: Final = 0.5
# Above these the text needs no check, which saves the time of the detector.
_CLEAR: Final = 0.7
_CLEAR_LOGPROB: Final = -0.3
# Noise beside speech may spoil the words in the same window.
_NOISE: Final = 0.1  # probability of speech below which a frame is noise
_MARGIN: Final = 16  # frames (0.5 s) between speech and noise that stay as they are
_SHORTEST_NOISE: Final = 31  # frames: 1 s
_LOUDNESS: Final = 0.01  # of full scale: quieter noise spoils nothing
_LONGEST_WORD: Final = 2.0  # seconds
_FEW_BYTES_PER_SECOND: Final = 7.0


def needs_no_check(result: WindowResult, seconds: float) -> bool:
    """Whether the text alone shows that the words were spoken."""
    if not result.text:
        return True
    if result.avg_logprob < _CLEAR_LOGPROB or len(result.text.encode()) < seconds * _FEW_BYTES_PER_SECOND:
        return False
    return all(
        _probability(words) >= _CLEAR
        and not stock_phrases.begins_as_stock_phrase(_text(words))
        and all(_has_plausible_length(word) for word in words)
        for words in segments.sentences(result.words, result.text_language)
    )


def keep_spoken_words(result: WindowResult, probabilities: Probabilities) -> WindowResult:
    """Drop the words that were not spoken; `probabilities` are those of the window."""
    if result.text and not result.words:
        whole = Word(0.0, len(probabilities) * FRAME / SAMPLE_RATE, result.text, float(np.exp(result.avg_logprob)))
        return result if _is_spoken([whole], result, probabilities) else replace(result, text="")
    kept = [
        word
        for sentence in segments.sentences(result.words, result.text_language)
        for part in _parts(sentence, probabilities)
        if _is_spoken(part, result, probabilities)
        for word in part
    ]
    if len(kept) == len(result.words):
        return result
    return replace(result, words=tuple(kept), text=_text(kept))


def speech_near(probabilities: Probabilities, start: float, end: float) -> float:
    """The probability of speech in a stretch of a window, in seconds: the minimum of its few most probable frames."""
    first, last = int(start * SAMPLE_RATE / FRAME), int(end * SAMPLE_RATE / FRAME) + 1
    inside = np.sort(probabilities[max(0, first) : max(0, last)])
    return float(inside[-_FRAMES]) if len(inside) >= _FRAMES else 0.0


def silence_noises(window: Window, probabilities: Probabilities) -> Window | None:
    """Silence long, audible noise that is far from speech; None if there is no such noise, or no speech."""
    if speech_near(probabilities, 0.0, len(window) / SAMPLE_RATE) < SPEECH:
        return None
    around = np.convolve(probabilities >= _NOISE, np.ones(2 * _MARGIN + 1))[_MARGIN : _MARGIN + len(probabilities)] > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[True], around, [True]]).astype(np.int8)))
    quiet = window.copy()
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        part = quiet[first * FRAME : last * FRAME]
        if last - first >= _SHORTEST_NOISE and np.abs(part).max() >= _LOUDNESS:
            part[:] = 0.0
    return None if np.array_equal(quiet, window) else quiet


def _is_spoken(words: Sequence[Word], result: WindowResult, probabilities: Probabilities) -> bool:
    speech = median(_speech_near_word(word, probabilities) for word in words)
    probability = _probability(words)
    is_stock_phrase = stock_phrases.is_stock_phrase(_text(words))
    if speech >= SPEECH:
        return not is_stock_phrase or probability >= _UNCERTAIN_STOCK_PHRASE
    if is_stock_phrase:
        return False
    if speech >= FAINT_SPEECH:
        return probability >= _UNCERTAIN and result.avg_logprob >= _UNCERTAIN_LOGPROB
    return probability >= _CERTAIN and result.avg_logprob >= _CERTAIN_LOGPROB


def _parts(words: Sequence[Word], probabilities: Probabilities) -> Iterator[Sequence[Word]]:
    """Split a sentence where speech begins or ends, and before a stock phrase after speech, which stays whole."""
    if stock_phrases.is_stock_phrase(_text(words)):
        yield words
        return
    speech = [_speech_near_word(word, probabilities) for word in words]
    cut = next((index for index in _stock_phrases_within(words) if median(speech[index:]) < FAINT_SPEECH), len(words))
    for _, part in groupby(range(cut), key=lambda index: speech[index] >= FAINT_SPEECH):
        yield [words[index] for index in part]
    if cut < len(words):
        yield words[cut:]


def _stock_phrases_within(words: Sequence[Word]) -> Iterator[int]:
    """Yield the index of each word from which on the rest of the sentence may be a stock phrase."""
    for index in range(1, len(words)):
        if words[index].word.startswith(" ") and stock_phrases.begins_as_stock_phrase(_text(words[index:])):
            yield index


def _speech_near_word(word: Word, probabilities: Probabilities) -> float:
    return speech_near(probabilities, word.start - _NEAR, word.end + _NEAR)


def _probability(words: Sequence[Word]) -> float:
    return fmean(word.probability for word in words)


def _has_plausible_length(word: Word) -> bool:
    return 0 < word.end - word.start < _LONGEST_WORD


def _text(words: Sequence[Word]) -> str:
    return "".join(word.word for word in words).strip()
