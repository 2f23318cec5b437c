"""Both engines transcribe the bundled sample with real weights, independently of the batch."""

import importlib.resources
import re

import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from transcriber.decoding.timeline import Timeline
from transcriber.engines.base import DecodeOptions, Engine, LanguageUnsupported, Window, WindowResult
from transcriber.speech.analysis import Analysis

pytestmark = [
    pytest.mark.integration,
    pytest.mark.weights,
    # openai-whisper's tokenizer leaves its vocabulary file open.
    pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning"),
]

ENGLISH = DecodeOptions(language="en")
LARGEST_ERROR = 0.05


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def said(results: list[WindowResult]) -> str:
    return words(" ".join(result.text for result in results))


@pytest.fixture(scope="module")
def reference() -> str:
    sample = importlib.resources.files("transcriber") / "samples" / "sample.txt"
    return words(sample.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def windows(speech: NDArray[np.float32]) -> list[Window]:
    """The sample, cut where it is quietest near 12, 20 and 30 seconds: windows of different lengths."""
    step = 1_600
    loudness = np.abs(speech[: len(speech) // step * step]).reshape(-1, step).mean(axis=1)
    cuts = []
    for second in (12, 20, 30):
        near = range(second * 10 - 20, second * 10 + 20)
        cuts.append(min(near, key=lambda index: float(loudness[index - 1 : index + 2].sum())) * step + step // 2)
    return np.split(speech, cuts)


@pytest.fixture(scope="module")
def together(engine: Engine, windows: list[Window]) -> list[WindowResult]:
    return engine.decode(windows, ENGLISH)


def test_the_sample_is_transcribed(together: list[WindowResult], reference: str) -> None:
    assert jiwer.wer(reference, said(together)) <= LARGEST_ERROR


def test_results_do_not_depend_on_which_windows_share_a_batch(
    engine: Engine, windows: list[Window], together: list[WindowResult]
) -> None:
    alone = engine.decode(windows[1:2], ENGLISH)
    turned = engine.decode(windows[2:0:-1], ENGLISH)
    if engine.info.name == "ctranslate2":
        assert alone == together[1:2]
        assert turned == together[2:0:-1]
    else:
        # On torch the last digits of a score may differ, so the plan fixes the composition; the text is the same.
        assert [result.text for result in alone + turned] == [together[index].text for index in (1, 2, 1)]


def test_speech_without_pauses_is_cut_without_lost_or_duplicated_words(
    engine: Engine, unbroken: NDArray[np.float32], reference: str
) -> None:
    if engine.info.name != "ctranslate2":
        pytest.skip("checked with the default engine only")
    analysis = Analysis()
    chunks = analysis.feed(np.rint(unbroken * 32_767).astype("<i2").tobytes()) + analysis.finish()
    windows = [window for chunk in chunks for window in chunk.windows()]
    described = [window.document() for chunk in chunks for window in chunk.chunk.windows]
    assert sum(window["forced_cut"] for window in described) >= 2
    results = engine.decode(windows, ENGLISH)
    documents = [
        Timeline(each).document(result, audio) for each, result, audio in zip(described, results, windows, strict=True)
    ]
    heard = words(" ".join(document["text"] for document in documents))
    assert jiwer.wer(f"{reference} {reference}", heard) <= LARGEST_ERROR
    assert len(heard.split()) < sum(len(words(result.text).split()) for result in results), "some were heard twice"


def test_word_times_match_the_sound(windows: list[Window], together: list[WindowResult]) -> None:
    for window, result in zip(windows, together, strict=True):
        spoken = result.words
        assert words("".join(word.word for word in spoken)) == words(result.text)
        times = [moment for word in spoken for moment in (word.start, word.end)]
        assert times == sorted(times)
        assert times[-1] <= len(window) / 16_000
        inside = np.zeros(len(window), bool)
        for word in spoken:
            inside[int(word.start * 16_000) : int(word.end * 16_000)] = True
        loud = np.abs(window) > 0.05
        assert loud[inside].mean() > 4 * loud[~inside].mean()


def test_the_language_is_detected(engine: Engine, windows: list[Window]) -> None:
    language, probability = engine.detect_language(windows[:2])
    assert language == "en"
    assert 0.9 < probability <= 1.0


def test_silence_has_no_text(engine: Engine) -> None:
    [result] = engine.decode([np.zeros(80_000, np.float32)], ENGLISH)
    assert result.text == ""
    assert result.words == ()


def test_noise_tones_and_clicks_have_no_text(engine: Engine) -> None:
    if engine.info.name != "ctranslate2":
        pytest.skip("checked with the default engine only")
    random, time = np.random.default_rng(7), np.arange(20 * 16_000) / 16_000
    hiss = 0.05 * random.standard_normal(len(time))
    siren = 0.1 * np.sin(2 * np.pi * np.cumsum(600 + 300 * np.sin(2 * np.pi * 0.3 * time)) / 16_000)
    chords = sum(0.03 * np.sin(2 * np.pi * note * time) for note in (220, 277, 330)) * (
        0.4 + 0.6 * np.exp(-6 * (time % 1))
    )
    clicks = random.standard_normal(len(time)) * 0.5 * np.exp(-400 * (time % 0.37))
    sounds = [np.asarray(sound, np.float32) for sound in (hiss, siren, chords, clicks)]
    assert [result.text for result in engine.decode(sounds, ENGLISH)] == [""] * 4


def test_a_window_of_a_few_samples_is_no_error(engine: Engine) -> None:
    assert len(engine.decode([np.zeros(10, np.float32), np.zeros(0, np.float32)], ENGLISH)) == 2


def test_no_windows_have_no_results(engine: Engine) -> None:
    assert engine.decode([], ENGLISH) == []


def test_a_prompt_gives_the_spelling_of_a_name(engine: Engine, windows: list[Window]) -> None:
    prompted = DecodeOptions(language="en", initial_prompt="A tour of the Verbatim platform.")
    assert "Verbatim" in engine.decode(windows[:1], prompted)[0].text


def test_hot_words_give_the_spelling_of_a_name(engine: Engine, windows: list[Window]) -> None:
    assert "Verbatim" in engine.decode(windows[:1], DecodeOptions(language="en", hotwords="Verbatim"))[0].text


def test_multilingual_windows_have_their_own_language(
    engine: Engine, windows: list[Window], together: list[WindowResult]
) -> None:
    [heard] = engine.decode(windows[1:2], DecodeOptions(language="fr", multilingual=True))
    assert heard.language == "en"
    assert heard.text == together[1].text


def test_the_sample_is_transcribed_with_beam_search(engine: Engine, windows: list[Window]) -> None:
    [result] = engine.decode(windows[:1], DecodeOptions(language="en", beam_size=3))
    assert "synthetic voice" in result.text


def test_an_unknown_language_is_refused(engine: Engine, windows: list[Window]) -> None:
    with pytest.raises(LanguageUnsupported):
        engine.decode(windows[:1], DecodeOptions(language="tlh"))
