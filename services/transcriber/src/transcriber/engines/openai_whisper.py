"""openai-whisper on torch: the engine for GPUs with torch, and for plain `.pt` files.

Weights, tokens, mel filters and decoding rules are openai-whisper's; the loops are our own (`torch_whisper/`): windows
are encoded in groups and decoded together in a fixed number of slots, and words are aligned from the attention of the
decoding itself. Shapes are fixed, so the result of a window does not depend on its neighbours. Uncertain windows, and
beam search, use openai-whisper's own decoder (`torch_whisper/reference.py`), one window at a time.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
import whisper
from whisper.tokenizer import Tokenizer

from models import Format, digest, location
from transcriber.audio.pcm import SAMPLE_RATE

from . import hypothesis
from .base import DecodeOptions, DeviceFailed, EngineInfo, Window, WindowResult, common_language
from .hypothesis import Hypothesis
from .results import window_result
from .torch_whisper.alignment import Path as AlignedPath
from .torch_whisper.encoding import Encoding
from .torch_whisper.loading import dtype_for, load, to_half_precision
from .torch_whisper.network import Network
from .torch_whisper.reference import ReferenceDecoder, audio_tokens
from .torch_whisper.search import Search
from .torch_whisper.slots import DecodedSlot, Slots, bytes_per_slot, own_kernels

log = logging.getLogger(__name__)

FORM = Format.PT
_CPU_SLOTS = 8
_MOST_GPU_SLOTS = 64
_FEWEST_SLOTS = 4
# The slots' share of a GPU's memory; the rest is for weights, encoding and other processes.
_SHARE_OF_MEMORY = 0.4
_GPU_GROUP = 8
# On a GPU a check for finished windows waits for the device; too few checks waste steps on finished windows.
_GPU_STEPS_PER_CHECK = 4
_GPU_HELPERS = 4


def default_device() -> str:
    """Return `cuda` where torch sees a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class OpenAIWhisperEngine:
    """One model of openai-whisper on one device."""

    def __init__(
        self, model: Any, heads: Sequence[tuple[int, int]], *, name: str, sha256: str, device: str, slots: int = 0
    ) -> None:
        """Take openai-whisper's model and its (layer, head) pairs for alignment; `slots` 0 = by the device's memory."""
        self._on_gpu = device == "cuda"
        # cuDNN's attention to one query is fast, but its last digits differ from run to run.
        torch.backends.cuda.enable_cudnn_sdp(not self._on_gpu)
        self._heads = heads
        self._network = Network(model, torch.device(device), dtype_for(torch.device(device)))
        # Only its decoder is needed from here on, for uncertain windows.
        model.encoder = None
        self._reference = ReferenceDecoder(
            to_half_precision(model).to(device) if self._on_gpu else model, half_precision=self._on_gpu
        )
        self._count = slots or self._affordable()
        self._slots: Slots | None = None
        self._encoding = self._encoding_of(self._count)
        self._stager = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._helpers = ThreadPoolExecutor(_GPU_HELPERS if self._on_gpu else 1, thread_name_prefix="align")
        self._name, self._sha256, self._device = name, sha256, device

    @property
    def info(self) -> EngineInfo:
        """The engine and its model; on a GPU also kernels and slots, because the last digits depend on them."""
        version = f"{whisper.__version__}, torch {torch.__version__}"
        if self._on_gpu:
            version += f", {'own' if own_kernels() else 'no'} kernels, {self._count} slots"
        return EngineInfo(
            name="openai-whisper",
            version=version,
            model=self._name,
            model_digest=self._sha256,
            compute_type=str(self._network.dtype).removeprefix("torch."),
            device=self._device,
        )

    @classmethod
    def open(cls, model: str, model_dir: Path, *, device: str, threads: int, slots: int = 0) -> Self:
        """Load a model from MODEL_DIR; raises ModelUnavailable."""
        torch.set_num_threads(threads)
        loaded, heads = load(location(model_dir, model, FORM), model)
        sha256 = digest(model_dir, model, FORM)
        return cls(loaded, heads, name=model, sha256=sha256, device=device, slots=slots)

    def _encoding_of(self, slots: int) -> Encoding:
        return Encoding(self._network, min(_GPU_GROUP, slots) if self._on_gpu else 1)

    @property
    def threads(self) -> int:
        """The number of CPU threads."""
        return torch.get_num_threads()

    @property
    def batch_windows(self) -> int:
        """How many windows a call needs to use the device fully."""
        return self._count

    def close(self) -> None:
        """Free the model's memory."""
        self._stager.shutdown()
        self._helpers.shutdown()
        self._slots = None
        del self._reference, self._encoding, self._network
        if self._on_gpu:
            torch.cuda.empty_cache()

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Detect the language with the highest average probability over the windows."""
        if not self._reference.is_multilingual:
            return "en", 1.0
        with _device_errors(self._on_gpu), torch.inference_mode():
            return common_language(
                [self._reference.language_probabilities(self._encode_alone(window)) for window in windows]
            )

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows together, in the order of their length."""
        self._reference.tokenizer(options)
        with _device_errors(self._on_gpu), torch.inference_mode():
            while True:
                try:
                    return self._decode(windows, options)
                except torch.cuda.OutOfMemoryError:
                    if self._count <= _FEWEST_SLOTS:
                        raise
                # Outside the handler: its traceback would keep tensors alive that must be freed.
                self._slots = None
                torch.cuda.empty_cache()
                self._count //= 2
                self._encoding = self._encoding_of(self._count)
                log.warning("out of GPU memory, continuing with %d windows at once", self._count)

    def _decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        if not (options.multilingual and self._reference.is_multilingual):
            return self._decode_in_one_language(windows, options)
        by_language: dict[str, list[int]] = {}
        for index, window in enumerate(windows):
            probabilities = self._reference.language_probabilities(self._encode_alone(window))
            by_language.setdefault(options.language_of(probabilities), []).append(index)
        results: dict[int, WindowResult] = {}
        for language, indexes in by_language.items():
            own = replace(options, language=language, multilingual=False)
            decoded = self._decode_in_one_language([windows[index] for index in indexes], own)
            results.update(zip(indexes, decoded, strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_in_one_language(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        if options.beam_size > 1:
            return [self._reference.beam_search(self._encode_alone(window), window, options) for window in windows]
        tokenizer = self._reference.tokenizer(options)
        results: dict[int, Future[WindowResult] | WindowResult] = {}
        uncertain: dict[int, Hypothesis] = {}
        search = self._search(options)
        for index, decoded in self._greedy(windows, search):
            text = self._hypothesis(decoded, windows[index], tokenizer)
            if self._is_uncertain(text):
                uncertain[index] = text
            else:
                results[index] = self._aligned(decoded, hypothesis.best_of([text]), windows[index], search, options)
        for index, text in uncertain.items():
            results[index] = self._reference.retry(text, self._encode_alone(windows[index]), windows[index], options)
        finished = [results[index] for index in range(len(windows))]
        return [result.result() if isinstance(result, Future) else result for result in finished]

    def _search(self, options: DecodeOptions) -> Search:
        return Search.of(self._reference.model, self._reference.options(options, {}), self._network.device)

    @staticmethod
    def _is_uncertain(text: Hypothesis) -> bool:
        return text.is_doubtful

    def _greedy(self, windows: Sequence[Window], search: Search) -> Iterator[tuple[int, DecodedSlot]]:
        """Yield each window's index and text as soon as it is finished; the longest windows start first."""
        if self._slots is None:
            self._slots = Slots(self._network, self._count, self._heads)
        slots, size = self._slots, self._encoding.group
        waiting = sorted(range(len(windows)), key=lambda index: -len(windows[index]))
        slots.begin(search)
        groups = [waiting[first : first + size] for first in range(0, len(waiting), size)]
        # The next group is prepared while the device is busy with the previous one.
        staged = [self._stager.submit(self._encoding.stage, [windows[index] for index in groups[0]])] if groups else []
        where: dict[int, int] = {}
        while groups or where:
            while groups and len(slots.free) >= len(groups[0]):
                group, audio = groups.pop(0), staged.pop().result()
                if groups:
                    following = [windows[index] for index in groups[0]]
                    staged.append(self._stager.submit(self._encoding.stage, following))
                places = slots.free[: len(group)]
                slots.admit(self._encoding.encode(audio), places)
                where.update(zip(places, group, strict=True))
            for _ in range(_GPU_STEPS_PER_CHECK if self._on_gpu else 1):
                slots.step()
            done = slots.done()
            if done:
                for slot, decoded in zip(done, slots.take(done), strict=True):
                    yield where.pop(slot), decoded

    def _encode_alone(self, window: Window) -> torch.Tensor:
        """Encode a window for the reference decoder, which computes in single precision on a CPU."""
        encoded = self._encoding.encode(self._encoding.stage([window]))[:1]
        return encoded.clone() if self._on_gpu else encoded.float()

    def _affordable(self) -> int:
        """The number of slots that fit into the device's memory, a power of two."""
        if not self._on_gpu:
            return _CPU_SLOTS
        memory = torch.cuda.get_device_properties(self._network.device).total_memory * _SHARE_OF_MEMORY
        slots = _MOST_GPU_SLOTS
        while slots > _FEWEST_SLOTS and slots * bytes_per_slot(self._network, len(self._heads)) > memory:
            slots //= 2
        return slots

    def _aligned(
        self, decoded: DecodedSlot, text: Hypothesis, window: Window, search: Search, options: DecodeOptions
    ) -> Future[WindowResult]:
        """Align the words in a helper thread while the device continues."""
        if not text.tokens:
            return self._helpers.submit(window_result, text, [], options.language, options.task)
        # The text of a translation is English, and split into words as English.
        tokenizer = self._reference.tokenizer(
            replace(options, language="en") if options.task == "translate" else options
        )
        path = AlignedPath.of(decoded, search.aligned_from, audio_tokens(window))
        return self._helpers.submit(
            lambda: window_result(text, path.words(decoded, tokenizer), options.language, options.task)
        )

    def _hypothesis(self, decoded: DecodedSlot, window: Window, tokenizer: Tokenizer) -> Hypothesis:
        return Hypothesis(
            tokens=decoded.tokens,
            text=tokenizer.decode(list(decoded.tokens)).strip(),
            seconds=len(window) / SAMPLE_RATE,
            avg_logprob=decoded.avg_logprob,
            no_speech_prob=decoded.no_speech_prob,
        )


@contextmanager
def _device_errors(on_gpu: bool) -> Iterator[None]:
    """Raise MemoryError for lack of memory, DeviceFailed for a GPU that needs a new process."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if on_gpu and "CUDA" in str(error):
            raise DeviceFailed(str(error)) from error
        raise
