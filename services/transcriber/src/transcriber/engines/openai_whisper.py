"""openai-whisper on torch: the engine for GPUs with torch, and for plain `.pt` files.

Weights, tokens, mel filters and decoding rules are openai-whisper's; the loops are our own (`torch_whisper/`): windows
are encoded in groups and decoded together in a fixed number of slots, and words are aligned from the attention that
decoding paid anyway. Shapes are fixed, so a window says the same whoever its neighbours are. Doubtful windows, and
beam search, go through openai-whisper's own decoder, each by itself.
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
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.timing import find_alignment
from whisper.tokenizer import Tokenizer, get_tokenizer

from models import Format, digest, location
from transcriber.audio.pcm import SAMPLE_RATE

from . import hypothesis, repetitions
from .base import (
    DecodeOptions,
    DeviceFailed,
    EngineInfo,
    LanguageUnsupported,
    Window,
    WindowResult,
    Word,
)
from .features import WINDOW_SAMPLES
from .hypothesis import Decoded
from .results import window_result
from .torch_whisper.alignment import Path as AlignedPath
from .torch_whisper.encoding import Encoding
from .torch_whisper.loading import halved, load, number_for
from .torch_whisper.network import Network
from .torch_whisper.search import Search
from .torch_whisper.slots import Slots, Spoken, bytes_per_slot, own_kernels

log = logging.getLogger(__name__)

FORM = Format.PT
_SAMPLES_PER_AUDIO_TOKEN = 320
_SEED = 20_250_625
# More expensive tries at a doubtful window, in order; sampling is seeded anew for each.
_SECOND_TRIES: tuple[dict[str, Any], ...] = ({"beam_size": 5}, {"temperature": 0.4, "best_of": 5})
_CPU_SLOTS = 8
_MOST_GPU_SLOTS = 64
_FEWEST_SLOTS = 4
# What the slots may take of a GPU's memory; the rest is for weights, encoding and the neighbours' needs.
_SHARE_OF_MEMORY = 0.4
_GPU_GROUP = 8
# On a GPU looking costs a wait, not looking costs steps that finished windows do not need.
_GPU_STEPS_PER_LOOK = 4
_GPU_HELPERS = 4


def default_device() -> str:
    """Return `cuda` where torch sees a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class OpenAIWhisperEngine:
    """One model of openai-whisper on one device."""

    def __init__(
        self, model: Any, heads: Sequence[tuple[int, int]], *, name: str, sha256: str, device: str, slots: int = 0
    ) -> None:
        """Take over openai-whisper's model, with the (layer, head) pairs that follow the words; `slots` 0 chooses."""
        self._on_gpu = device == "cuda"
        # Fast as it is, cuDNN's attention to one query gives other last digits in every run.
        torch.backends.cuda.enable_cudnn_sdp(not self._on_gpu)
        self._heads = heads
        self._network = Network(model, torch.device(device), number_for(torch.device(device)))
        # Its encoder has done its duty; its decoder serves the second tries.
        model.encoder = None
        self._model = halved(model).to(device) if self._on_gpu else model
        self._count = slots or self._affordable()
        self._slots: Slots | None = None
        self._encoding = self._encoding_of(self._count)
        self._stager = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._helpers = ThreadPoolExecutor(_GPU_HELPERS if self._on_gpu else 1, thread_name_prefix="align")
        self._name, self._sha256, self._device = name, sha256, device

    @property
    def info(self) -> EngineInfo:
        """The engine and its model; on a GPU its kernels and the number of slots move last digits, and are told."""
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
        """How many processor threads it computes with."""
        return torch.get_num_threads()

    @property
    def batch_windows(self) -> int:
        """How many windows one call should bring to fill the device."""
        return self._count

    def close(self) -> None:
        """Free the model's memory."""
        self._stager.shutdown()
        self._helpers.shutdown()
        self._slots = None
        del self._model, self._encoding, self._network
        if self._on_gpu:
            torch.cuda.empty_cache()

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Name the language that the windows' averaged probabilities favour."""
        if not self._model.is_multilingual:
            return "en", 1.0
        totals: dict[str, float] = {}
        with _device_errors(self._on_gpu), torch.inference_mode():
            for window in windows:
                _, [probabilities] = self._model.detect_language(self._encode_alone(window))
                for code, probability in probabilities.items():
                    totals[code] = totals.get(code, 0.0) + probability
        language = max(totals, key=lambda code: totals[code])
        return language, round(totals[language] / len(windows), 4)

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows together, in the order of their length."""
        self._tokenizer(options)
        with _device_errors(self._on_gpu), torch.inference_mode():
            while True:
                try:
                    return self._decode(windows, options)
                except torch.cuda.OutOfMemoryError:
                    if self._count <= _FEWEST_SLOTS:
                        raise
                # Outside the handler: a traceback keeps the tensors alive that are in the way.
                self._slots = None
                torch.cuda.empty_cache()
                self._count //= 2
                self._encoding = self._encoding_of(self._count)
                log.warning("out of GPU memory: going on with %d windows at once", self._count)

    def _decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        if not (options.multilingual and self._model.is_multilingual):
            return self._decode_in_one_language(windows, options)
        spoken: dict[str, list[int]] = {}
        for index, window in enumerate(windows):
            _, [probabilities] = self._model.detect_language(self._encode_alone(window))
            spoken.setdefault(options.language_of(probabilities), []).append(index)
        results: dict[int, WindowResult] = {}
        for language, indexes in spoken.items():
            own = replace(options, language=language, multilingual=False)
            said = self._decode_in_one_language([windows[index] for index in indexes], own)
            results.update(zip(indexes, said, strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_in_one_language(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        if options.beam_size > 1:
            return [self._thorough(window, options) for window in windows]
        tokenizer = self._tokenizer(options)
        results: dict[int, Future[WindowResult] | WindowResult] = {}
        doubtful: dict[int, Decoded] = {}
        search = self._search(options)
        for index, spoken in self._greedy(windows, search):
            said = self._decoded(spoken, windows[index], tokenizer)
            if self._doubts(said):
                doubtful[index] = said
            else:
                results[index] = self._aligned(spoken, hypothesis.best_of([said]), windows[index], search, options)
        for index, said in doubtful.items():
            results[index] = self._settled(said, self._encode_alone(windows[index]), windows[index], options)
        finished = [results[index] for index in range(len(windows))]
        return [result.result() if isinstance(result, Future) else result for result in finished]

    def _search(self, options: DecodeOptions) -> Search:
        return Search.of(self._model, self._options(options, {}), self._network.device)

    @staticmethod
    def _doubts(said: Decoded) -> bool:
        return said.is_doubtful

    def _greedy(self, windows: Sequence[Window], search: Search) -> Iterator[tuple[int, Spoken]]:
        """Yield each window's index and text as soon as it is finished, the longest windows begun first."""
        if self._slots is None:
            self._slots = Slots(self._network, self._count, self._heads)
        slots, size = self._slots, self._encoding.group
        waiting = sorted(range(len(windows)), key=lambda index: -len(windows[index]))
        slots.begin(search)
        groups = [waiting[first : first + size] for first in range(0, len(waiting), size)]
        # The next group is laid out while the device is busy with those before it.
        staged = [self._stager.submit(self._encoding.staged, [windows[index] for index in groups[0]])] if groups else []
        where: dict[int, int] = {}
        while groups or where:
            while groups and len(slots.free) >= len(groups[0]):
                group, audio = groups.pop(0), staged.pop().result()
                if groups:
                    following = [windows[index] for index in groups[0]]
                    staged.append(self._stager.submit(self._encoding.staged, following))
                places = slots.free[: len(group)]
                slots.admit(self._encoding.encode(audio), places)
                where.update(zip(places, group, strict=True))
            for _ in range(_GPU_STEPS_PER_LOOK if self._on_gpu else 1):
                slots.step()
            done = slots.done()
            if done:
                for slot, spoken in zip(done, slots.take(done), strict=True):
                    yield where.pop(slot), spoken

    def _encode_alone(self, window: Window) -> torch.Tensor:
        """Encode a window for openai-whisper's own decoder, which on a CPU computes in single precision."""
        encoded = self._encoding.encode(self._encoding.staged([window]))[:1]
        return encoded.clone() if self._on_gpu else encoded.float()

    def _affordable(self) -> int:
        """As many slots as the device has room for, a power of two."""
        if not self._on_gpu:
            return _CPU_SLOTS
        room = torch.cuda.get_device_properties(self._network.device).total_memory * _SHARE_OF_MEMORY
        slots = _MOST_GPU_SLOTS
        while slots > _FEWEST_SLOTS and slots * bytes_per_slot(self._network, len(self._heads)) > room:
            slots //= 2
        return slots

    def _aligned(
        self, spoken: Spoken, said: Decoded, window: Window, search: Search, options: DecodeOptions
    ) -> Future[WindowResult]:
        """Have a helper find the words' times while the device goes on."""
        if not said.tokens:
            return self._helpers.submit(window_result, said, [], options.language)
        # The text of a translation is English, and cut into words as such.
        tokenizer = self._tokenizer(replace(options, language="en") if options.task == "translate" else options)
        path = AlignedPath.of(spoken, search.aligned_from, _audio_tokens(window))
        return self._helpers.submit(lambda: window_result(said, path.words(spoken, tokenizer), options.language))

    def _thorough(self, window: Window, options: DecodeOptions) -> WindowResult:
        encoded = self._encode_alone(window)
        first = self._generate(encoded, window, options, {"beam_size": options.beam_size})
        return self._settled(first, encoded, window, options)

    def _settled(self, first: Decoded, encoded: torch.Tensor, window: Window, options: DecodeOptions) -> WindowResult:
        """Try a doubtful window harder, keep the most believable text and align it."""
        tries = [repetitions.keep_spoken(first, lambda text: self._align(encoded[0], text, window, options))]
        for harder in _SECOND_TRIES:
            if not tries[-1].is_doubtful:
                break
            tries.append(self._generate(encoded, window, options, harder))
        said = hypothesis.best_of(tries)
        return window_result(said, self._align(encoded[0], said, window, options), options.language)

    def _generate(
        self, encoded: torch.Tensor, window: Window, options: DecodeOptions, search: dict[str, Any]
    ) -> Decoded:
        torch.manual_seed(_SEED)
        [result] = DecodingTask(self._model, self._options(options, search)).run(encoded)
        end_of_text = get_tokenizer(self._model.is_multilingual).eot
        return Decoded(
            tokens=tuple(token for token in result.tokens if token < end_of_text),
            text=result.text,
            seconds=len(window) / SAMPLE_RATE,
            avg_logprob=result.avg_logprob,
            no_speech_prob=result.no_speech_prob,
        )

    def _align(self, encoded: torch.Tensor, said: Decoded, window: Window, options: DecodeOptions) -> list[Word]:
        if not said.tokens:
            return []
        tokenizer, frames = self._tokenizer(options), 2 * _audio_tokens(window)
        timings = find_alignment(_Encoded(self._model), tokenizer, list(said.tokens), encoded, frames)
        return [Word(float(word.start), float(word.end), word.word, float(word.probability)) for word in timings]

    def _decoded(self, spoken: Spoken, window: Window, tokenizer: Tokenizer) -> Decoded:
        return Decoded(
            tokens=spoken.tokens,
            text=tokenizer.decode(list(spoken.tokens)).strip(),
            seconds=len(window) / SAMPLE_RATE,
            avg_logprob=spoken.avg_logprob,
            no_speech_prob=spoken.no_speech_prob,
        )

    def _options(self, options: DecodeOptions, search: dict[str, Any]) -> DecodingOptions:
        return DecodingOptions(
            task=options.task,
            language=options.language,
            prompt=options.prompt,
            without_timestamps=True,
            fp16=self._on_gpu,
            **search,
        )

    def _tokenizer(self, options: DecodeOptions) -> Tokenizer:
        multilingual, languages = self._model.is_multilingual, self._model.num_languages
        if not multilingual and (options.language != "en" or options.task != "transcribe"):
            raise LanguageUnsupported("This model only transcribes English.")
        if options.language not in get_tokenizer(multilingual, num_languages=languages).all_language_codes:
            raise LanguageUnsupported(f"This model does not know the language '{options.language}'.")
        return get_tokenizer(multilingual, num_languages=languages, language=options.language, task=options.task)


class _Encoded:
    """The model as `find_alignment` wants it, taking encoder output where it passes a spectrogram.

    Aligning would otherwise run the encoder, the most expensive part, a second time.
    """

    def __init__(self, model: Any) -> None:
        self.device, self.dims = model.device, model.dims
        self.decoder, self.alignment_heads = model.decoder, model.alignment_heads

    def __call__(self, encoded: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.decoder(tokens, encoded)
        return logits


def _audio_tokens(window: Window) -> int:
    """How many of the encoder's outputs are about the window and not about the silence after it."""
    return max(1, len(window[:WINDOW_SAMPLES]) // _SAMPLES_PER_AUDIO_TOKEN)


@contextmanager
def _device_errors(on_gpu: bool) -> Iterator[None]:
    """Tell lack of memory, and a GPU that needs a new process, from errors of ours."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error
    except RuntimeError as error:
        if on_gpu and "CUDA" in str(error):
            raise DeviceFailed(str(error)) from error
        raise
