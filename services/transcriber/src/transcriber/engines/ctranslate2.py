"""CTranslate2: int8 on the CPU, half precision on a GPU. The default engine; needs no torch.

On a CPU the encoder, half of the work, runs on OpenVINO where that is installed: faster there, and more accurate than
int8. Windows are decoded in batches, greedily and without time tokens; words are aligned afterwards from the same
encoder output. Results do not depend on which windows share a batch (a test holds this).
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctranslate2
import numpy as np

from models import Format, digest, location

from . import captions, guard
from .base import SAMPLE_RATE, DecodeOptions, EngineError, EngineInfo, Task, Window, WindowResult, Word
from .features import HOP_SAMPLES, Features, log_mel
from .guard import Decoded
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from . import EncoderName
    from .openvino_encoder import OpenVINOEncoder

BATCH_WINDOWS = 8
FORM = Format.CT2
_SECONDS_PER_ALIGNED_FRAME = 0.02
_COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
# More expensive tries at a doubtful window, in order; all deterministic.
_SECOND_TRIES: tuple[dict[str, Any], ...] = (
    {"beam_size": 5},
    {"beam_size": 5, "repetition_penalty": 1.2, "no_repeat_ngram_size": 4},
)


def default_device() -> str:
    """Return `cuda` where CTranslate2 sees a GPU, else `cpu`."""
    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


class CTranslate2Engine:
    """One model of CTranslate2 on one device."""

    def __init__(
        self, model: str, model_dir: Path, *, device: str, threads: int, encoder: "EncoderName" = "auto"
    ) -> None:
        folder = location(model_dir, model, FORM)
        model_digest = digest(model_dir, model, FORM)
        self._vocabulary = Vocabulary.of_folder(folder)
        self._model = ctranslate2.models.Whisper(
            str(folder), device=device, compute_type=_COMPUTE_TYPES[device], inter_threads=1, intra_threads=threads
        )
        version, compute_type = ctranslate2.__version__, self._model.compute_type
        self._encoder: OpenVINOEncoder | None = None
        if device == "cpu" and encoder != "ctranslate2" and (encoder != "auto" or _has_openvino()):
            self._encoder = _openvino_encoder(encoder, folder, model_digest, threads)
            version = f"{version}+openvino-{self._encoder.version}"
            compute_type = f"{self._encoder.precision}+{compute_type}"
        self.info = EngineInfo(
            name="ctranslate2",
            version=version,
            model=model,
            model_digest=model_digest,
            compute_type=compute_type,
            device=device,
        )

    @property
    def batch_windows(self) -> int:
        """How many windows one call should bring to keep the device full."""
        return BATCH_WINDOWS

    def close(self) -> None:
        """Free the model's memory."""
        self._model.unload_model()
        self._encoder = None

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Name the language that the windows' averaged probabilities favour."""
        if not self._vocabulary.is_multilingual:
            return "en", 1.0
        totals: dict[str, float] = {}
        for window in windows:
            for token, probability in self._model.detect_language(_view(self._encode([window])))[0]:
                totals[token[2:-2]] = totals.get(token[2:-2], 0.0) + probability
        language = max(totals, key=lambda code: totals[code])
        return language, round(totals[language] / len(windows), 4)

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows in batches of similar length."""
        results: dict[int, WindowResult] = {}
        by_length = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        for first in range(0, len(by_length), BATCH_WINDOWS):
            indexes = by_length[first : first + BATCH_WINDOWS]
            batch = self._decode_batch([windows[index] for index in indexes], options)
            results.update(zip(indexes, batch, strict=True))
        return [results[index] for index in range(len(windows))]

    def _decode_batch(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        encoded = self._encode(windows)
        languages = self._languages(encoded, options)
        prompts = [self._vocabulary.prompt(language, options.task, options.prompt) for language in languages]
        seconds = [len(window) / SAMPLE_RATE for window in windows]
        batch = self._generate(encoded, seconds, prompts, {"beam_size": options.beam_size})
        results = []
        for index, (first, window) in enumerate(zip(batch, windows, strict=True)):
            alone = encoded[index : index + 1]
            said = self._settle(first, alone, prompts[index])
            words = self._align(alone, said, window, languages[index], options.task)
            results.append(captions.result(said, words, languages[index]))
        return results

    def _languages(self, encoded: Features, options: DecodeOptions) -> list[str]:
        if not (options.multilingual and self._vocabulary.is_multilingual):
            return [options.language] * len(encoded)
        heard = self._model.detect_language(_view(encoded))
        return [options.language_of({token[2:-2]: chance for token, chance in window}) for window in heard]

    def _settle(self, first: Decoded, encoded: Features, prompt: Sequence[int]) -> Decoded:
        """Keep the first decoding unless it is doubtful; then try again, more thoroughly, and keep the best."""
        tries = [first]
        for search in _SECOND_TRIES:
            if not tries[-1].is_doubtful:
                break
            tries += self._generate(encoded, [first.seconds], [prompt], search)
        return guard.settle(tries)

    def _generate(
        self, encoded: Features, seconds: Sequence[float], prompts: Sequence[Sequence[int]], search: dict[str, Any]
    ) -> list[Decoded]:
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
            # The score is per token without the end token; openai-whisper counts that one as well.
            average = result.scores[0] * len(tokens) / (len(tokens) + 1) if tokens else result.scores[0]
            text = self._vocabulary.decode(tokens).strip()
            decoded.append(Decoded(tokens, text, length, average, result.no_speech_prob))
        return decoded

    def _align(self, encoded: Features, decoded: Decoded, window: Window, language: str, task: Task) -> list[Word]:
        """Align one window by itself: in a batch, its neighbours' lengths would change the outcome slightly."""
        if not decoded.tokens:
            return []
        start = self._vocabulary.start_sequence(language, task)
        frames = max(2, len(window) // HOP_SAMPLES)
        [aligned] = self._model.align(_view(encoded), start, [list(decoded.tokens)], frames)
        return self._words(decoded.tokens, aligned, "en" if task == "translate" else language)

    def _words(self, tokens: Sequence[int], result: Any, language: str) -> list[Word]:
        """Turn (token, frame) pairs into words: each begins with its first token and ends where the next one begins."""
        pairs = np.array(result.alignments)
        begins = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        times = pairs[begins, 1] * _SECONDS_PER_ALIGNED_FRAME
        words, position = [], 0
        for text, count in self._vocabulary.split_words(tokens, language):
            end = min(position + count, len(times) - 1)
            probability = float(np.mean(result.text_token_probs[position : position + count]))
            words.append(Word(float(times[min(position, end)]), float(times[end]), text, probability))
            position += count
        return words

    def _encode(self, windows: Sequence[Window]) -> Features:
        """Return the encoder's output, shape (windows, 1500, width), on the CPU."""
        mel = [log_mel(window, self._model.n_mels) for window in windows]
        if self._encoder is not None:
            return self._encoder.encode(mel)
        return np.asarray(self._model.encode(_view(np.stack(mel)), to_cpu=True))


def _view(array: Features) -> Any:
    """Lend an array to CTranslate2, which does not copy it."""
    return ctranslate2.StorageView.from_array(array)


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
