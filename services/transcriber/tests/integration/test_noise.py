"""Real weights: no text over noise, speech around it is kept, and spoken repetitions too."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from common.events import JobOptions
from models import default_dir
from support.noises import noise
from transcriber.decoding.passes import decode_in_passes
from transcriber.engines import served
from transcriber.engines.base import DecodeOptions, Engine, Window, WindowResult
from transcriber.engines.process import EngineProcess, EngineSettings
from transcriber.engines.selftest import clip
from transcriber.speech.analysis import Analysis, ChunkAudio
from transcriber.work.language_choice import LanguageChoice

pytestmark = [
    pytest.mark.integration,
    pytest.mark.weights,
    # openai-whisper's tokenizer leaves its vocabulary file open.
    pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning"),
]

Samples = NDArray[np.float32]


def planned(sound: Samples) -> list[ChunkAudio]:
    analysis = Analysis()
    return analysis.feed(np.rint(sound * 32_767).astype("<i2").tobytes()) + analysis.finish()


async def transcribed(engine: Engine, windows: Sequence[Window], language: str) -> list[WindowResult]:
    async def decode(some: Sequence[Window]) -> list[WindowResult]:
        return engine.decode(some, DecodeOptions(language=language))

    return await decode_in_passes(decode, windows)


async def said(engine: Engine, sound: Samples, language: str = "en") -> list[str]:
    windows = [window for chunk in planned(sound) for window in chunk.windows()]
    results = await transcribed(engine, windows, language)
    return re.findall(r"\w+", " ".join(result.text for result in results).lower())


# In subtitles of these languages there is most of what nobody says.
@pytest.mark.parametrize(
    ("language", "names"), [("ru", ("ringing", "typing", "hold")), ("nl", ("ringing", "applause"))]
)
async def test_nothing_is_written_over_noise(engine: Engine, language: str, names: Sequence[str]) -> None:
    # The noises themselves, not what the plan leaves of them: it leaves out what is steady.
    results = await transcribed(engine, [noise(name, 8) for name in names], language)
    assert {name: result.text for name, result in zip(names, results, strict=True) if result.text} == {}


async def test_speech_around_noise_is_kept(engine: Engine) -> None:
    voice, expected = clip()
    alone = await said(engine, voice)
    assert alone == re.findall(r"\w+", expected.lower())
    ring, hold = noise("ringing", 6, level=0.04), noise("hold", 8, level=0.04)
    assert await said(engine, np.concatenate([ring, voice, hold, voice, ring])) == alone * 2


async def test_six_spoken_repetitions_are_transcribed(engine: Engine) -> None:
    voice, expected = clip()
    pause = np.zeros(4_000, np.float32)
    heard = await said(engine, np.concatenate([voice, pause] * 6))
    assert heard == re.findall(r"\w+", expected.lower()) * 6


async def test_the_language_is_that_of_the_speech_after_the_noise(speech: Samples) -> None:
    if "base" not in served("ctranslate2", default_dir()):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    settings = EngineSettings(model_dir=default_dir(), engine="ctranslate2", device="cpu", threads=1)
    process, chunks = EngineProcess(settings), planned(np.concatenate([noise("beeps", 70), speech[: 12 * 16_000]]))
    try:
        choice = LanguageChoice(process, JobOptions(), ["base"])
        assert [await choice.add(chunk.windows(), last=False) for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert await choice.add(chunks[-1].windows(), last=True) == "en"
    finally:
        await process.close()
    assert choice.probability is not None
    assert choice.probability > 0.9
