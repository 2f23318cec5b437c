"""The torch engine on a GPU with real weights; skipped on machines without one."""

import re
import statistics
from collections.abc import Iterator

import jiwer
import numpy as np
import pytest
from numpy.typing import NDArray

from models import default_dir
from transcriber.engines import create, served
from transcriber.engines.base import DecodeOptions, Engine, Window

torch = pytest.importorskip("torch", reason="the transcriber's torch extra is not installed")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.weights,
    pytest.mark.torch,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here"),
]

ENGLISH = DecodeOptions(language="en")


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.fixture(scope="module")
def windows(speech: NDArray[np.float32]) -> list[Window]:
    return [speech[:192_000], speech[192_000:512_000], speech[512_000:]]


@pytest.fixture(scope="module", params=["kernels", "without kernels"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if "base" not in served("openai-whisper", default_dir()):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "without kernels":
            patch.setattr("transcriber.engines.torch_whisper.kernels.usable", lambda: False)
        created = create("openai-whisper", "base", default_dir(), device="cuda", threads=1)
        created.decode([np.zeros(16_000, np.float32)], ENGLISH)
        yield created
        created.close()


def test_results_on_a_gpu_are_deterministic_and_independent_of_the_batch(engine: Engine, windows: list[Window]) -> None:
    together = engine.decode(windows, ENGLISH)
    assert engine.decode(windows, ENGLISH) == together
    assert engine.decode(windows[::-1], ENGLISH) == together[::-1]
    assert [engine.decode([window], ENGLISH)[0] for window in windows] == together
    assert engine.decode(windows * 30, ENGLISH) == together * 30


def test_a_gpu_gives_the_text_of_a_cpu(engine: Engine, windows: list[Window]) -> None:
    on_cpu = create("openai-whisper", "base", default_dir(), device="cpu", threads=4)
    expected, heard = on_cpu.decode(windows, ENGLISH), engine.decode(windows, ENGLISH)
    on_cpu.close()
    texts = [words(" ".join(result.text for result in results)) for results in (expected, heard)]
    assert jiwer.wer(texts[0], texts[1]) <= 0.05
    for there, here in zip(expected, heard, strict=True):
        if len(there.words) == len(here.words):
            apart = [abs(one.start - other.start) for one, other in zip(there.words, here.words, strict=True)]
            assert statistics.median(apart) <= 0.1
