"""Which language a recording is decoded in: the one asked for, else the one heard in its first windows."""

from collections.abc import Sequence
from typing import Final

import structlog

from common.events import JobOptions
from models import LANGUAGE_CODES, MODELS

from .engines.base import Window
from .errors import ModelNotServed, Rejected
from .process import EngineProcess

log = structlog.get_logger(__name__)

SURE: Final = 0.6  # probability at which the first window is enough
MOST_WINDOWS: Final = 3  # windows to listen to before the likeliest language is taken anyway


def languages_of(model: str) -> tuple[str, ...]:
    """The ISO codes of the languages a model knows; a model of somebody's own is taken to know what its name says."""
    if model in MODELS:
        return MODELS[model].languages
    return ("en",) if model.endswith(".en") else LANGUAGE_CODES


class LanguageChoice:
    """The language of one job, pinned once; `probability` is None when it was not heard but given."""

    def __init__(self, engine: EngineProcess, options: JobOptions, served: Sequence[str]) -> None:
        """Raise Rejected when the model does not know the language asked for."""
        self._engine = engine
        self._options = options
        self._served = served
        self._windows: list[Window] = []
        self.language = options.language
        self.probability: float | None = None
        known = languages_of(options.model)
        if self.language is None and len(known) == 1:
            self.language = known[0]
        if self.language is not None and self.language not in known:
            raise Rejected("unsupported_language", model=options.model, language=self.language)

    async def hear(self, windows: Sequence[Window], *, last: bool) -> str | None:
        """Listen to the next windows; give the language, or None while more windows may make it clearer."""
        if self.language is not None:
            return self.language
        self._windows = [*self._windows, *windows][:MOST_WINDOWS]
        language, probability = await self._engine.detect_language(self._listener(), self._windows)
        if probability < SURE and len(self._windows) < MOST_WINDOWS and not last:
            return None
        self.language, self.probability = language, round(probability, 4)
        log.info("language detected", language=language, probability=self.probability, windows=len(self._windows))
        return language

    def _listener(self) -> str:
        """The model that listens: the job's own if this worker has it, so that every worker hears the same."""
        if self._options.model in self._served:
            return self._options.model
        for model in self._served:
            if len(languages_of(model)) > 1:
                return model
        raise ModelNotServed(f"this worker has no model that could detect the language for {self._options.model}")
