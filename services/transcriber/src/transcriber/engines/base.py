"""What every engine is: plain data in, plain data out, the same answer for any batch composition."""

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
    """An engine could not do what it was asked to do."""


class EngineDied(EngineError):
    """The engine's process ended in the middle of a request; the next request starts a new one."""


class DeviceFailed(EngineError):
    """The accelerator is in a state that only a new process can leave."""


class ModelUnavailable(EngineError):
    """The model is not in MODEL_DIR in the form this engine reads; permanent until somebody brings it in."""


class LanguageUnsupported(EngineError):
    """The model does not know the language or the task; permanent."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How to decode windows; together with the audio and the model it determines the result completely.

    `language` is an ISO code the model knows (detect it first, pin it for the job); with `multilingual` it is only
    what a window is decoded in whose own language the model is not sure of. `hotwords` are names and terms to expect.
    `beam_size` 1 is greedy.
    """

    language: str
    task: Task = "transcribe"
    initial_prompt: str | None = None
    beam_size: int = 1
    hotwords: str | None = None
    multilingual: bool = False

    @property
    def prompt(self) -> str | None:
        """What the decoder is told to have been said before: of a long text only the end counts (about 220 tokens).

        The hot words come last, so that a long prompt never pushes them out.
        """
        texts = (text.strip() for text in (self.initial_prompt, self.hotwords) if text)
        return " ".join(text for text in texts if text) or None

    def language_of(self, probabilities: Mapping[str, float]) -> str:
        """Choose the language of one window, by the probabilities that the model gives to each: see `multilingual`."""
        likeliest = max(probabilities, key=lambda code: probabilities[code])
        return likeliest if self.multilingual and probabilities[likeliest] >= _SURE_OF_LANGUAGE else self.language


@dataclass(frozen=True, slots=True)
class Word:
    """A word as spoken: times in seconds from the window's start; `word` carries its leading space and punctuation."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What one window says; `text` is empty and `words` is () when the model heard no speech.

    `language` is the one it was decoded in.
    """

    text: str
    avg_logprob: float
    no_speech_prob: float
    words: tuple[Word, ...]
    language: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """Everything besides audio and options that a result depends on."""

    name: str
    version: str
    model: str
    model_digest: str
    compute_type: str
    device: str


class Engine(Protocol):
    """One model on one device, in the calling thread; blocking, not thread-safe."""

    @property
    def info(self) -> EngineInfo:
        """The engine, its library's version, and the model it holds."""
        ...

    @property
    def threads(self) -> int:
        """How many processor threads it computes with."""
        ...

    @property
    def batch_windows(self) -> int:
        """How many windows one call should bring to keep the device full."""
        ...

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows (any number), one result each, in order.

        Raises LanguageUnsupported, DeviceFailed, or MemoryError.
        """
        ...

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Name the language of these windows taken together, with its probability 0..1; English-only models say en."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
