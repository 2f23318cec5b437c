"""An engine with real weights, for the tests that need one."""

from collections.abc import Iterator

import pytest

from models import default_dir
from transcriber.engines import EngineName, create, served
from transcriber.engines.base import Engine


@pytest.fixture(scope="module", params=["ctranslate2", pytest.param("openai-whisper", marks=pytest.mark.torch)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine in turn, with the base model on the CPU."""
    name: EngineName = request.param
    if name == "openai-whisper":
        pytest.importorskip("whisper")
    if "base" not in served(name, default_dir()):
        pytest.skip("base is not in MODEL_DIR: python -m models get base")
    created = create(name, "base", default_dir(), device="cpu", threads=1)
    yield created
    created.close()
