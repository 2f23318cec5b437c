"""openai-whisper on torch, through its own batched decoding: the engine for GPUs with torch, and for plain `.pt` files.

Windows that share a batch share matrix shapes, which can move a score in its last digits; a batch is therefore always
cut from one call's windows in their order, so that the plan decides the composition.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from whisper.audio import log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.timing import find_alignment
from whisper.tokenizer import Tokenizer, get_tokenizer

from models import MODELS, Format, digest, location

from . import captions, guard
from .base import (
    SAMPLE_RATE,
    DecodeOptions,
    DeviceFailed,
    EngineInfo,
    LanguageUnsupported,
    ModelUnavailable,
    Window,
    WindowResult,
    Word,
)
from .guard import Decoded

BATCH_WINDOWS = 8
FORM = Format.PT
_SAMPLES_PER_FRAME = 160
_SEED = 20_250_625
# More expensive tries at a doubtful window, in order; sampling is seeded anew for each.
_SECOND_TRIES: tuple[dict[str, Any], ...] = ({"beam_size": 5}, {"temperature": 0.4, "best_of": 5})


def default_device() -> str:
    """Return `cuda` where torch sees a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class OpenAIWhisperEngine:
    """One model of openai-whisper on one device."""

    def __init__(self, model: str, model_dir: Path, *, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._half = device == "cuda"
        self._model = _load(location(model_dir, model, FORM), model, self._device, half=self._half)
        self.info = EngineInfo(
            name="openai-whisper",
            version=whisper.__version__,
            model=model,
            model_digest=digest(model_dir, model, FORM),
            compute_type="float16" if self._half else "float32",
            device=device,
        )

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        if self._half:
            torch.cuda.empty_cache()

    def detect_language(self, windows: Sequence[Window]) -> tuple[str, float]:
        """Name the language that the windows' averaged probabilities favour."""
        if not self._model.is_multilingual:
            return "en", 1.0
        totals: dict[str, float] = {}
        for window in windows:
            _, [probabilities] = self._model.detect_language(self._encode([window]))
            for code, probability in probabilities.items():
                totals[code] = totals.get(code, 0.0) + probability
        language = max(totals, key=lambda code: totals[code])
        return language, round(totals[language] / len(windows), 4)

    def decode(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        """Decode windows in batches, in their order."""
        self._tokenizer(options)
        results = []
        try:
            for first in range(0, len(windows), BATCH_WINDOWS):
                results += self._decode_batch(windows[first : first + BATCH_WINDOWS], options)
        except torch.cuda.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        except RuntimeError as error:
            if self._half and "CUDA" in str(error):
                raise DeviceFailed(str(error)) from error
            raise
        return results

    def _tokenizer(self, options: DecodeOptions) -> Tokenizer:
        english_only = not self._model.is_multilingual
        if english_only and (options.language != "en" or options.task != "transcribe"):
            raise LanguageUnsupported("This model only transcribes English.")
        tokenizer = get_tokenizer(self._model.is_multilingual, num_languages=self._model.num_languages)
        if options.language not in tokenizer.all_language_codes:
            raise LanguageUnsupported(f"This model does not know the language '{options.language}'.")
        return get_tokenizer(
            self._model.is_multilingual,
            num_languages=self._model.num_languages,
            language=options.language,
            task=options.task,
        )

    def _decode_batch(self, windows: Sequence[Window], options: DecodeOptions) -> list[WindowResult]:
        encoded = self._encode(windows)
        if not (options.multilingual and self._model.is_multilingual):
            return self._decode_encoded(encoded, windows, options)
        _, heard = self._model.detect_language(encoded)
        results = []
        for index, probabilities in enumerate(heard):
            own = replace(options, language=options.language_of(probabilities))
            results += self._decode_encoded(encoded[index : index + 1], windows[index : index + 1], own)
        return results

    def _decode_encoded(
        self, encoded: torch.Tensor, windows: Sequence[Window], options: DecodeOptions
    ) -> list[WindowResult]:
        tokenizer = self._tokenizer(options)
        search = {"beam_size": options.beam_size} if options.beam_size > 1 else {}
        batch = self._generate(encoded, windows, options, search)
        results = []
        for index, (first, window) in enumerate(zip(batch, windows, strict=True)):
            tries = [first]
            for harder in _SECOND_TRIES:
                if not tries[-1].is_doubtful:
                    break
                torch.manual_seed(_SEED)
                tries += self._generate(encoded[index : index + 1], [window], options, harder)
            said = guard.settle(tries)
            words = self._align(encoded[index], said, window, tokenizer)
            results.append(captions.result(said, words, options.language))
        return results

    def _encode(self, windows: Sequence[Window]) -> torch.Tensor:
        padded = [pad_or_trim(torch.from_numpy(np.array(window, np.float32))) for window in windows]
        mel = torch.stack([log_mel_spectrogram(window, self._model.dims.n_mels) for window in padded])
        with torch.inference_mode():
            encoded: torch.Tensor = self._model.encoder(mel.to(self._device, self._dtype))
        return encoded

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float16 if self._half else torch.float32

    def _generate(
        self, encoded: torch.Tensor, windows: Sequence[Window], options: DecodeOptions, search: dict[str, Any]
    ) -> list[Decoded]:
        decoding = DecodingOptions(
            task=options.task,
            language=options.language,
            prompt=options.prompt,
            without_timestamps=True,
            fp16=self._half,
            **search,
        )
        return [
            Decoded(
                tokens=tuple(token for token in result.tokens if token < self._end_of_text),
                text=result.text,
                seconds=len(window) / SAMPLE_RATE,
                avg_logprob=result.avg_logprob,
                no_speech_prob=result.no_speech_prob,
            )
            for result, window in zip(DecodingTask(self._model, decoding).run(encoded), windows, strict=True)
        ]

    @property
    def _end_of_text(self) -> int:
        return int(get_tokenizer(self._model.is_multilingual, num_languages=self._model.num_languages).eot)

    def _align(self, encoded: torch.Tensor, said: Decoded, window: Window, tokenizer: Tokenizer) -> list[Word]:
        if not said.tokens:
            return []
        frames = max(2, len(window) // _SAMPLES_PER_FRAME)
        timings = find_alignment(_Encoded(self._model), tokenizer, list(said.tokens), encoded, frames)
        return [Word(float(word.start), float(word.end), word.word, float(word.probability)) for word in timings]


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


def _load(pt: Path, name: str, device: torch.device, *, half: bool) -> Any:
    try:
        model = whisper.load_model(str(pt), device="cpu")
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ModelUnavailable(f"{pt} cannot be loaded: {error}") from error
    known = MODELS.get(name)
    if known is not None:
        # A state dict does not carry them, and the default (all heads of the later layers) gives vaguer times.
        heads = torch.zeros(model.dims.n_text_layer, model.dims.n_text_head, dtype=torch.bool)
        heads[tuple(zip(*known.alignment_heads, strict=True))] = True
        model.register_buffer("alignment_heads", heads.to_sparse(), persistent=False)
    if half:
        # Layer norms compute in single precision in this model; everything else would be cast at each step.
        for module in model.modules():
            if not isinstance(module, torch.nn.LayerNorm):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.half()
    return model.to(device)
