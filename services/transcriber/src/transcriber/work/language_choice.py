"""Choose the language of a recording: the requested one, else the one spoken in its first windows.

The model returns a language for any sound. So only windows in which the voice detector finds speech have a vote,
weighted by their seconds of speech; if that is less than half of a window, the model gets only the speech.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from common.events import JobOptions
from models.languages import languages_of
from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.decoding.word_filter import FAINT_SPEECH
from transcriber.engines.base import Window
from transcriber.engines.process import EngineProcess
from transcriber.errors import ModelNotServed, Rejected
from transcriber.speech.detector import FRAME, speech_probabilities
from transcriber.speech.spans import PADDING

log = structlog.get_logger(__name__)

CLEAR_SHARE: Final = 0.8  # share of the votes that is enough
ENOUGH_SECONDS: Final = 8.0  # seconds of speech: more than a jingle or a greeting
MOST_WINDOWS: Final = 5  # with speech, after which the most probable language is taken
_MIN_SPEECH_SECONDS: Final = 0.5  # seconds of speech that give a window a vote
_MIN_SPEECH_SHARE: Final = 0.5  # share of a window: with less speech, the model gets only the speech
MOST_WAITING: Final = 60  # windows without speech that wait for a language: half an hour, 58 MB
_FALLBACK: Final = 3  # windows for the detection if the recording has no speech


class LanguageChoice:
    """The language of one job, pinned once; `probability` is None if it was requested."""

    def __init__(self, engine: EngineProcess, options: JobOptions, served: Sequence[str]) -> None:
        """Raise Rejected if the model does not support the requested language."""
        self._engine = engine
        self._options = options
        self._served = served
        self._votes: dict[str, float] = {}  # seconds of speech, times the probability of the language
        self._voters = 0
        self._speech = 0.0
        self._without_speech: list[Window] = []
        self._waiting = 0
        self.language = options.language
        self.probability: float | None = None
        known = languages_of(options.model)
        if self.language is None and len(known) == 1:
            self.language = known[0]
        if self.language is not None and self.language not in known:
            raise Rejected("unsupported_language", model=options.model, language=self.language)

    async def add(self, windows: Sequence[Window], *, last: bool) -> str | None:
        """Add the next windows; return the language, or None while more windows are needed.

        A language that is returned while `language` is None is for the windows so far, which have no speech.
        """
        for window in windows:
            if self.language is None:
                await self._vote(window)
                self._decide(last=False)
        if self.language is None and last and self._votes:
            self._decide(last=True)
        if self.language is not None:
            return self.language
        if not last and self._waiting < MOST_WAITING:
            return None
        self._waiting = 0
        language, probability = await self._engine.detect_language(self._detection_model(), self._without_speech)
        if last:
            self._pin(language, probability)
        return language

    async def _vote(self, window: Window) -> None:
        """Add the vote of one window, if it has speech."""
        is_speech = await asyncio.to_thread(speech_probabilities, window) >= FAINT_SPEECH
        seconds = float(is_speech.sum()) * FRAME / SAMPLE_RATE
        if seconds < _MIN_SPEECH_SECONDS:
            self._without_speech = [*self._without_speech, window][:_FALLBACK]
            self._waiting += 1
            return
        if seconds * SAMPLE_RATE < _MIN_SPEECH_SHARE * len(window):
            window = _speech_only(is_speech, window)
        language, probability = await self._engine.detect_language(self._detection_model(), [window])
        self._votes[language] = self._votes.get(language, 0.0) + seconds * probability
        self._voters += 1
        self._speech += seconds

    def _decide(self, *, last: bool) -> None:
        """Pin the language if the votes are clear, or if there will be no others."""
        if not self._votes:
            return
        language = max(self._votes, key=lambda code: self._votes[code])
        share = self._votes[language] / self._speech
        if last or self._voters >= MOST_WINDOWS or (share >= CLEAR_SHARE and self._speech >= ENOUGH_SECONDS):
            self._pin(language, share)

    def _pin(self, language: str, probability: float) -> None:
        self.language, self.probability = language, round(probability, 4)
        log.info("language detected", language=language, probability=self.probability, windows=self._voters)

    def _detection_model(self) -> str:
        """The model for the detection: the job's own if this worker has it, so that workers agree."""
        if self._options.model in self._served:
            return self._options.model
        for model in self._served:
            if len(languages_of(model)) > 1:
                return model
        raise ModelNotServed(f"this worker has no model that can detect the language for {self._options.model}")


def _speech_only(is_speech: NDArray[np.bool_], window: Window) -> Window:
    """Keep only speech and what is within 0.4 s of it."""
    reach = PADDING // FRAME
    around = np.convolve(is_speech, np.ones(2 * reach + 1))[reach : reach + len(is_speech)] > 0
    return window[np.repeat(around, FRAME)[: len(window)]]
