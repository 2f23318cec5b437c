"""CTranslate2: int8 or float32 on the CPU, half precision on a GPU. The default engine; needs no torch.

On a CPU the encoder, half of the work, runs on OpenVINO where that is installed: faster there, and more accurate than
int8. Windows are decoded in batches, greedily and without time tokens; words are aligned afterwards from the same
encoder output. Results do not depend on which windows share a batch (a test checks this).
"""

import importlib.util
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np

from models import MODELS, Format, digest, location
from transcriber.audio.pcm import SAMPLE_RATE

from . import calibration, hypothesis, repetitions
from .base import (
    WINDOW_SECONDS,
    DecodeOptions,
    EngineError,
    EngineInfo,
    Task,
    Window,
    WindowResult,
    Word,
    common_language,
)
from .features import HOP_SAMPLES, Features, log_mel
from .hypothesis import Hypothesis
from .results import window_result
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from . import ComputeType, EncoderName
    from .openvino_encoder import OpenVINOEncoder

FORM = Format.CT2
# In order of preference: a later size replaces an earlier one only if it is clearly faster.
_BATCHES = (8, 4, 12)
_MEASURED_STEPS = 24
# Share of the machine's memory per core that the attention's keys and values of a batch may take.
_SHARE_OF_MEMORY = 0.25
_MOST_LAYERS = 32
# Millions of parameters up to which the decoder uses float32: int8 costs small models accuracy and saves little.
_LARGEST_IN_FLOAT32 = 80
# More expensive, deterministic searches: for windows that could be better, then for those that are still uncertain.
_SECOND_TRY: dict[str, Any] = {"beam_size": 5}
_THIRD_TRY: dict[str, Any] = {**_SECOND_TRY, "repetition_penalty": 1.2, "no_repeat_ngram_size": 4}


def default_device() -> str:
    """Return `cuda` where CTranslate2 sees a GPU, else `cpu`."""
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


class CTranslate2Engine:
    """One model of CTranslate2 on one device."""

    def __init__(
        self,
        model: str,
        model_dir: Path,
        *,
        device: str,
        threads: int,
        encoder: "EncoderName" = "auto",
        compute_type: "ComputeType" = "auto",
    ) -> None:
        """Load a model; `threads` 0 = the fastest number, which the first start on a machine measures."""
        self._folder = location(model_dir, model, FORM)
        self._name, self._device, self._encoder_name = model, device, encoder
        self._precision = _compute_type(model, device, compute_type)
        self._digest = digest(model_dir, model, FORM)
        self._vocabulary = Vocabulary.of_folder(self._folder)
        self._load(threads or 1)
        version, precision = ctranslate2.__version__, self._model.compute_type
        if self._encoder is not None:
            version = f"{version}+openvino-{self._encoder.version}"
            precision = f"{self._encoder.precision}+{precision}"
        self.info = EngineInfo(
            name="ctranslate2",
            version=version,
            model=model,
            model_digest=self._digest,
            compute_type=precision,
            device=device,
        )
        key = calibration.machine(version, precision, self._digest, str(threads))
        tuning = calibration.stored(model_dir, key)
        if tuning is None:
            tuning = self._calibrated(threads)
            calibration.store(model_dir, key, tuning)
        if tuning.threads != self.threads:
            self._load(tuning.threads)
        self.tuning = tuning

    def _load(self, threads: int) -> None:
        self.threads = threads
        self._encoder: OpenVINOEncoder | None = None
        self._model = ctranslate2.models.Whisper(
            str(self._folder),
            device=self._device,
            compute_type=self._precision,
            inter_threads=1,
            intra_threads=threads,
        )
        if self._device == "cpu" and (
            self._encoder_name.startswith("openvino") or (self._encoder_name == "auto" and _has_openvino())
        ):
            self._encoder = _openvino_encoder(self._encoder_name, self._folder, self._digest, threads)

    def _calibrated(self, threads: int) -> calibration.Tuning:
        """Time one window on each number of threads if none is given, then a few steps of each batch size."""
        window = np.random.default_rng(1).normal(0, 0.1, int(WINDOW_SECONDS * SAMPLE_RATE)).astype(np.float32)

        def on_threads(count: int) -> float:
            if count != self.threads:
                self._load(count)
            self._few_steps(self._encode([window]))
            began = time.monotonic()
            self._few_steps(self._encode([window]))
            return time.monotonic() - began

        count = threads
        if not count:
            most = calibration.cores()
            candidates = sorted({1, max(1, most // 2), most}) if self._device == "cpu" else [1]
            count = calibration.fastest(candidates, on_threads) if len(candidates) > 1 else candidates[0]
        if count != self.threads:
            self._load(count)
        encoded = self._encode([window])

        def in_batch(size: int) -> float:
            # CPU time, not wall time: other processes may run here, and a batch does not change the parallelism.
            began = time.process_time()
            self._few_steps(np.repeat(encoded, size, axis=0))
            return (time.process_time() - began) / size

        most = self._affordable(encoded)
        sizes = [size for size in _BATCHES if size <= most] or [most]
        return calibration.Tuning(count, calibration.fastest(sizes, in_batch))

    def _few_steps(self, encoded: Features) -> None:
        prompt = self._vocabulary.start_sequence("en", "transcribe")
        never = [-1, self._vocabulary.end_of_text]
        self._model.generate(
            _view(encoded), [prompt] * len(encoded), beam_size=1, max_length=_MEASURED_STEPS, suppress_tokens=never
        )

    def _affordable(self, encoded: Features) -> int:
        """How many windows' keys and values (single precision) fit if every core of the machine runs an engine."""
        known = MODELS.get(self._name)
        layers = known.decoder_layers if known else _MOST_LAYERS
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / calibration.cores()
        return max(1, int(memory * _SHARE_OF_MEMORY / (2 * layers * encoded[0].nbytes)))

    @property
    def batch_windows(self) -> int:
        """How many windows a call needs to use the device fully."""
        return self.tuning.batch_windows

    def close(self) -> None:
        """Free the model's memory."""
        self._model.unload_model()
        self._encoder = None

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Detect the language with the highest average probability over the windows."""
        if not self._vocabulary.is_multilingual:
            return "en", 1.0
        return common_language(
            [self._language_probabilities(self._encode([window], keep=True))[0] for window in windows]
        )

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows in batches of similar length."""
        results: dict[int, WindowResult] = {}
        by_length = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        for first in range(0, len(by_length), self.batch_windows):
            indexes = by_length[first : first + self.batch_windows]
            batch = self._decode_batch([windows[index] for index in indexes], options)
            results.update(zip(indexes, batch, strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_batch(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        encoded = self._encode(windows)
        languages = self._languages(encoded, options)
        prompts = [self._vocabulary.prompt(language, options.task, options.prompt) for language in languages]
        seconds = [len(window) / SAMPLE_RATE for window in windows]
        firsts = self._generate(encoded, seconds, prompts, {"beam_size": options.beam_size})
        aligners = [
            partial(self._align, encoded[index : index + 1], window, language, options.task)
            for index, (window, language) in enumerate(zip(windows, languages, strict=True))
        ]
        tries = [[repetitions.keep_spoken(first, align)] for first, align in zip(firsts, aligners, strict=True)]
        self._try_again(tries, encoded, prompts, _SECOND_TRY, [first.could_be_better for [first] in tries])
        self._try_again(tries, encoded, prompts, _THIRD_TRY, [tried[-1].is_doubtful for tried in tries])
        results = []
        for tried, align, language in zip(tries, aligners, languages, strict=True):
            best = hypothesis.best_of(tried)
            results.append(window_result(best, align(best), language, options.task))
        return results

    def _languages(self, encoded: Features, options: DecodeOptions) -> list[str]:
        if not (options.multilingual and self._vocabulary.is_multilingual):
            return [options.language] * len(encoded)
        return [options.language_of(probabilities) for probabilities in self._language_probabilities(encoded)]

    def _language_probabilities(self, encoded: Features) -> list[dict[str, float]]:
        """Return the probability of each language for every encoded window."""
        detected = self._model.detect_language(_view(encoded))
        return [{token[2:-2]: probability for token, probability in window} for window in detected]

    def _try_again(
        self,
        tries: Sequence[list[Hypothesis]],
        encoded: Features,
        prompts: Sequence[Sequence[int]],
        search: dict[str, Any],
        selected: Sequence[bool],
    ) -> None:
        """Decode the selected windows again in one batch, and add each result to the window's tries."""
        chosen = [index for index, again in enumerate(selected) if again]
        if chosen:
            seconds = [tries[index][0].seconds for index in chosen]
            again = self._generate(encoded[chosen], seconds, [prompts[index] for index in chosen], search)
            for index, decoded in zip(chosen, again, strict=True):
                tries[index].append(decoded)

    def _generate(
        self, encoded: Features, seconds: Sequence[float], prompts: Sequence[Sequence[int]], search: dict[str, Any]
    ) -> list[Hypothesis]:
        generated = self._model.generate(
            _view(encoded),
            [list(prompt) for prompt in prompts],
            return_scores=True,
            return_no_speech_prob=True,
            **search,
        )
        decoded = []
        for result, length in zip(generated, seconds, strict=True):
            tokens = tuple(token for token in result.sequences_ids[0] if token < self._vocabulary.end_of_text)
            # The score is per token without the end token, which openai-whisper counts too.
            average = result.scores[0] * len(tokens) / (len(tokens) + 1) if tokens else result.scores[0]
            text = self._vocabulary.decode(tokens).strip()
            decoded.append(Hypothesis(tokens, text, length, average, result.no_speech_prob))
        return decoded

    def _align(self, encoded: Features, window: Window, language: str, task: Task, decoded: Hypothesis) -> list[Word]:
        """Align one window by itself: in a batch, the other windows' lengths would change the result slightly."""
        if not decoded.tokens:
            return []
        start = self._vocabulary.start_sequence(language, task)
        frames = max(2, len(window) // HOP_SAMPLES)
        [aligned] = self._model.align(_view(encoded), start, [list(decoded.tokens)], frames)
        text_language = "en" if task == "translate" else language
        return self._vocabulary.words(decoded.tokens, aligned.alignments, aligned.text_token_probs, text_language)

    def _encode(self, windows: Sequence[Window], *, keep: bool = False) -> Features:
        """Return the encoder's output, shape (windows, 1500, width), on the CPU; for `keep` see OpenVINOEncoder."""
        mel = [log_mel(window, self._model.n_mels) for window in windows]
        if self._encoder is not None:
            return self._encoder.encode(mel, keep=keep)
        return np.asarray(self._model.encode(_view(np.stack(mel)), to_cpu=True))


def _view(array: Features) -> Any:
    """Pass an array to CTranslate2 without a copy."""
    return ctranslate2.StorageView.from_array(array)


def _compute_type(model: str, device: str, wanted: "ComputeType") -> str:
    """The precision of the decoder."""
    if device == "cuda":
        return "float16"
    if wanted != "auto":
        return wanted
    known = MODELS.get(model)
    return "float32" if known and known.parameters <= _LARGEST_IN_FLOAT32 else "int8"


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _openvino_encoder(name: "EncoderName", folder: Path, model_digest: str, threads: int) -> "OpenVINOEncoder":
    if not _has_openvino():
        raise EngineError(f"ENCODER={name} is not installed: install the transcriber's extra 'ctranslate2'.")
    from . import openvino_encoder  # noqa: PLC0415 (imports OpenVINO)

    best = openvino_encoder.best_precision()
    if name == "openvino-bfloat16" and best != "bfloat16":
        raise EngineError("ENCODER=openvino-bfloat16: this processor does not compute in bfloat16.")
    return openvino_encoder.OpenVINOEncoder(
        folder, model_digest, precision="float32" if name == "openvino-float32" else best, threads=threads
    )
