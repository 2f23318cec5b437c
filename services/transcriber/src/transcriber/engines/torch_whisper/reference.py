"""openai-whisper's own decoder, for uncertain windows and beam search: one window at a time."""

from typing import Any

import torch
from whisper.decoding import DecodingOptions, DecodingTask
from whisper.timing import find_alignment
from whisper.tokenizer import Tokenizer, get_tokenizer

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.engines import hypothesis, repetitions
from transcriber.engines.base import DecodeOptions, LanguageUnsupported, Window, WindowResult, Word
from transcriber.engines.features import WINDOW_SAMPLES
from transcriber.engines.hypothesis import Hypothesis
from transcriber.engines.results import window_result

_SAMPLES_PER_AUDIO_TOKEN = 320
_SEED = 20_250_625
# More expensive tries at an uncertain window, in order; sampling is seeded anew for each.
_SECOND_TRIES: tuple[dict[str, Any], ...] = ({"beam_size": 5}, {"temperature": 0.4, "best_of": 5})


class ReferenceDecoder:
    """Decodes and aligns single windows from the encoder's output."""

    def __init__(self, model: Any, *, half_precision: bool) -> None:
        """Take openai-whisper's model, whose decoder is used."""
        self.model = model
        self._half_precision = half_precision

    @property
    def is_multilingual(self) -> bool:
        """Whether the model supports languages other than English."""
        return bool(self.model.is_multilingual)

    def language_probabilities(self, encoded: torch.Tensor) -> dict[str, float]:
        """Return the probability of each language for one encoded window."""
        _, [probabilities] = self.model.detect_language(encoded)
        found: dict[str, float] = probabilities
        return found

    def beam_search(self, encoded: torch.Tensor, window: Window, options: DecodeOptions) -> WindowResult:
        """Decode a window with the beam size of the options, and again if the text is uncertain."""
        first = self._generate(encoded, window, options, {"beam_size": options.beam_size})
        return self.retry(first, encoded, window, options)

    def retry(self, first: Hypothesis, encoded: torch.Tensor, window: Window, options: DecodeOptions) -> WindowResult:
        """Decode an uncertain window again with more expensive searches, keep the best text and align it."""
        tries = [repetitions.keep_spoken(first, lambda text: self._align(encoded[0], text, window, options))]
        for search in _SECOND_TRIES:
            if not tries[-1].is_doubtful:
                break
            tries.append(self._generate(encoded, window, options, search))
        best = hypothesis.best_of(tries)
        words = self._align(encoded[0], best, window, options)
        return window_result(best, words, options.language, options.task)

    def options(self, options: DecodeOptions, search: dict[str, Any]) -> DecodingOptions:
        """Return the options in openai-whisper's form."""
        return DecodingOptions(
            task=options.task,
            language=options.language,
            prompt=options.prompt,
            without_timestamps=True,
            fp16=self._half_precision,
            **search,
        )

    def tokenizer(self, options: DecodeOptions) -> Tokenizer:
        """Return the tokenizer for language and task; LanguageUnsupported if the model does not support them."""
        multilingual, languages = self.model.is_multilingual, self.model.num_languages
        if not multilingual and (options.language != "en" or options.task != "transcribe"):
            raise LanguageUnsupported("This model only transcribes English.")
        if options.language not in get_tokenizer(multilingual, num_languages=languages).all_language_codes:
            raise LanguageUnsupported(f"This model does not support the language '{options.language}'.")
        return get_tokenizer(multilingual, num_languages=languages, language=options.language, task=options.task)

    def _generate(
        self, encoded: torch.Tensor, window: Window, options: DecodeOptions, search: dict[str, Any]
    ) -> Hypothesis:
        torch.manual_seed(_SEED)
        [result] = DecodingTask(self.model, self.options(options, search)).run(encoded)
        end_of_text = get_tokenizer(self.model.is_multilingual).eot
        return Hypothesis(
            tokens=tuple(token for token in result.tokens if token < end_of_text),
            text=result.text,
            seconds=len(window) / SAMPLE_RATE,
            avg_logprob=result.avg_logprob,
            no_speech_prob=result.no_speech_prob,
        )

    def _align(self, encoded: torch.Tensor, text: Hypothesis, window: Window, options: DecodeOptions) -> list[Word]:
        if not text.tokens:
            return []
        tokenizer, frames = self.tokenizer(options), 2 * audio_tokens(window)
        timings = find_alignment(EncodedModel(self.model), tokenizer, list(text.tokens), encoded, frames)
        return [Word(float(word.start), float(word.end), word.word, float(word.probability)) for word in timings]


class EncodedModel:
    """The model as `find_alignment` expects it, which takes the encoder's output in place of a spectrogram.

    Otherwise alignment would run the encoder, the most expensive part, a second time.
    """

    def __init__(self, model: Any) -> None:
        self.device, self.dims = model.device, model.dims
        self.decoder, self.alignment_heads = model.decoder, model.alignment_heads

    def __call__(self, encoded: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.decoder(tokens, encoded)
        return logits


def audio_tokens(window: Window) -> int:
    """How many of the encoder's outputs belong to the window and not to the silence after it."""
    return max(1, len(window[:WINDOW_SAMPLES]) // _SAMPLES_PER_AUDIO_TOKEN)
