"""The protocol of the engines: plain data in, plain data out, the same result for any batch composition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

WINDOW_SECONDS = 30.0

Window = npt.NDArray[np.float32]
"""One window: mono float32 samples at 16 kHz in -1..1, at most 30 s (480,000 samples)."""

Task = Literal["transcribe", "translate"]

_SURE_OF_LANGUAGE = 0.5


class EngineError(Exception):
    """An engine could not serve a request."""


class EngineDied(EngineError):
    """The engine's process ended during a request; the next request starts a new one."""


class DeviceFailed(EngineError):
    """The accelerator has failed; only a new process can use it again."""


class ModelUnavailable(EngineError):
    """The model is not in MODEL_DIR in the format of this engine; permanent until it is installed."""


class LanguageUnsupported(EngineError):
    """The model does not support the language or the task; permanent."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How to decode windows; together with the audio and the model it determines the result completely.

    `language` is an ISO code the model supports (detect it first, pin it for the job); with `multilingual` it is the
    fallback for windows whose own language is uncertain. `hotwords` are names and terms to expect. `beam_size` 1 is
    greedy.
    """

    language: str
    task: Task = "transcribe"
    initial_prompt: str | None = None
    beam_size: int = 1
    hotwords: str | None = None
    multilingual: bool = False

    @property
    def prompt(self) -> str | None:
        """The text that precedes the window for the decoder; only its last tokens count (about 220).

        The hot words come last, so that a long prompt never displaces them.
        """
        texts = (text.strip() for text in (self.initial_prompt, self.hotwords) if text)
        return " ".join(text for text in texts if text) or None

    def language_of(self, probabilities: Mapping[str, float]) -> str:
        """Choose the language of one window by the probability of each language: see `multilingual`."""
        likeliest = max(probabilities, key=lambda code: probabilities[code])
        return likeliest if self.multilingual and probabilities[likeliest] >= _SURE_OF_LANGUAGE else self.language


@dataclass(frozen=True, slots=True)
class Word:
    """A word: times in seconds from the window's start; `word` includes its leading space and punctuation."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The text of one window; `text` is empty and `words` is () if the model found no speech.

    `language` is the one that was spoken; `translated` says that the text is its English translation.
    """

    text: str
    avg_logprob: float
    no_speech_prob: float
    words: tuple[Word, ...]
    language: str
    translated: bool = False

    @property
    def text_language(self) -> str:
        """The language of the text."""
        return "en" if self.translated else self.language


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a result depends on besides audio and options."""

    name: str
    version: str
    model: str
    model_digest: str
    compute_type: str
    device: str


def common_language(windows: Sequence[Mapping[str, float]]) -> tuple[str, float]:
    """Return the language with the highest average probability over the windows, and that average."""
    totals: dict[str, float] = {}
    for probabilities in windows:
        for code, probability in probabilities.items():
            totals[code] = totals.get(code, 0.0) + probability
    language = max(totals, key=lambda code: totals[code])
    return language, round(totals[language] / len(windows), 4)


class Engine(Protocol):
    """One model on one device, in the calling thread; blocking, not thread-safe."""

    @property
    def info(self) -> EngineInfo:
        """The engine, the version of its library, and the loaded model."""
        ...

    @property
    def threads(self) -> int:
        """The number of CPU threads."""
        ...

    @property
    def batch_windows(self) -> int:
        """How many windows a call needs to use the device fully."""
        ...

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode any number of windows, one result each, in order.

        Raises LanguageUnsupported, DeviceFailed, or MemoryError.
        """
        ...

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Detect the common language of these windows, with its probability 0..1; English-only models return en."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
