"""Which language a recording is decoded in: the one asked for, else the one that is spoken in its first windows.

The model names a language for any sound. So only windows in which the voice detector finds speech have a vote, of as
much weight as they have speech; where that is less than half of a window, the model is given nothing else of it.
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
from transcriber.decoding.word_filter import FAINT
from transcriber.engines.base import Window
from transcriber.engines.process import EngineProcess
from transcriber.errors import ModelNotServed, Rejected
from transcriber.speech.detector import FRAME, heard
from transcriber.speech.spans import PADDING

log = structlog.get_logger(__name__)

SURE: Final = 0.8  # share of the votes that is enough
ENOUGH: Final = 8.0  # seconds of speech: a jingle or a greeting is shorter
MOST_WINDOWS: Final = 5  # with speech, after which the likeliest language is taken anyway
_LEAST: Final = 0.5  # seconds of speech that give a window a vote
_FEW: Final = 0.5  # share of a window: with less speech, the model is given nothing but the speech
MOST_WAITING: Final = 60  # windows without speech that wait for a language: half an hour, 58 MB
_FALLBACK: Final = 3  # of these are asked for a language where nobody speaks at all


class LanguageChoice:
    """The language of one job, pinned once; `probability` is None when it was not heard but given."""

    def __init__(self, engine: EngineProcess, options: JobOptions, served: Sequence[str]) -> None:
        """Raise Rejected when the model does not know the language asked for."""
        self._engine = engine
        self._options = options
        self._served = served
        self._votes: dict[str, float] = {}  # seconds of speech, times the probability of the language
        self._voters = 0
        self._speech = 0.0
        self._silent: list[Window] = []
        self._waiting = 0
        self.language = options.language
        self.probability: float | None = None
        known = languages_of(options.model)
        if self.language is None and len(known) == 1:
            self.language = known[0]
        if self.language is not None and self.language not in known:
            raise Rejected("unsupported_language", model=options.model, language=self.language)

    async def hear(self, windows: Sequence[Window], *, last: bool) -> str | None:
        """Listen to the next windows; give the language, or None while more windows may make it clearer.

        A language that is given while `language` is None is for the windows so far, in which nobody speaks.
        """
        for window in windows:
            if self.language is None:
                await self._ask(window)
                self._decide(last=False)
        if self.language is None and last and self._votes:
            self._decide(last=True)
        if self.language is not None:
            return self.language
        if not last and self._waiting < MOST_WAITING:
            return None
        self._waiting = 0
        language, probability = await self._engine.detect_language(self._listener(), self._silent)
        if last:
            self._pin(language, probability)
        return language

    async def _ask(self, window: Window) -> None:
        """Let one window vote, if somebody speaks in it."""
        spoken = await asyncio.to_thread(heard, window) >= FAINT
        seconds = float(spoken.sum()) * FRAME / SAMPLE_RATE
        if seconds < _LEAST:
            self._silent = [*self._silent, window][:_FALLBACK]
            self._waiting += 1
            return
        if seconds * SAMPLE_RATE < _FEW * len(window):
            window = _only(spoken, window)
        language, probability = await self._engine.detect_language(self._listener(), [window])
        self._votes[language] = self._votes.get(language, 0.0) + seconds * probability
        self._voters += 1
        self._speech += seconds

    def _decide(self, *, last: bool) -> None:
        """Pin the language, if the votes are clear or there will be no others."""
        if not self._votes:
            return
        language = max(self._votes, key=lambda code: self._votes[code])
        share = self._votes[language] / self._speech
        if last or self._voters >= MOST_WINDOWS or (share >= SURE and self._speech >= ENOUGH):
            self._pin(language, share)

    def _pin(self, language: str, probability: float) -> None:
        self.language, self.probability = language, round(probability, 4)
        log.info("language detected", language=language, probability=self.probability, windows=self._voters)

    def _listener(self) -> str:
        """The model that listens: the job's own if this worker has it, so that every worker hears the same."""
        if self._options.model in self._served:
            return self._options.model
        for model in self._served:
            if len(languages_of(model)) > 1:
                return model
        raise ModelNotServed(f"this worker has no model that could detect the language for {self._options.model}")


def _only(spoken: NDArray[np.bool_], window: Window) -> Window:
    """Cut out what is no speech and lies further than 0.4 s from any."""
    reach = PADDING // FRAME
    around = np.convolve(spoken, np.ones(2 * reach + 1))[reach : reach + len(spoken)] > 0
    return window[np.repeat(around, FRAME)[: len(window)]]
