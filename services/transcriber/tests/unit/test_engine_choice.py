"""Which engine is chosen, its models, and the errors if it cannot run."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from transcriber import engines
from transcriber.engines import NotForProduction, choose, create, served
from transcriber.engines.base import DecodeOptions, EngineError, ModelUnavailable, Window

OPTIONS = DecodeOptions(language="en")


def noise(seed: int) -> Window:
    return np.random.default_rng(seed).normal(0, 0.1, 32_000).astype(np.float32)


def install(monkeypatch: pytest.MonkeyPatch, *packages: str, gpu: bool = False) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in packages else None)
    monkeypatch.setattr(engines, "_torch_sees_gpu", lambda: gpu)


def test_auto_is_ctranslate2_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "ctranslate2", "whisper")
    assert choose("auto", "auto", "production") == "ctranslate2"


def test_auto_is_openai_whisper_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "ctranslate2", "whisper", gpu=True)
    assert choose("auto", "auto", "production") == "openai-whisper"
    assert choose("auto", "cpu", "production") == "ctranslate2"


def test_auto_selects_the_installed_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "whisper")
    assert choose("auto", "auto", "production") == "openai-whisper"


def test_an_engine_that_is_not_installed_is_refused_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(EngineError, match="extra 'torch'"):
        choose("openai-whisper", "auto", "production")
    with pytest.raises(EngineError, match="No engine is installed"):
        choose("auto", "auto", "production")


def test_the_canned_engine_refuses_production() -> None:
    with pytest.raises(NotForProduction):
        choose("canned", "auto", "production")
    assert choose("canned", "auto", "test") == "canned"


def test_a_missing_model_is_refused_with_the_existing_ones(tmp_path: Path) -> None:
    (tmp_path / "tiny.pt").write_bytes(b"")
    assert served("openai-whisper", tmp_path) == ["tiny"]
    with pytest.raises(ModelUnavailable, match=r"it has: tiny\. .*models get base"):
        create("openai-whisper", "base", tmp_path, device="cpu", threads=1)


def test_the_canned_engine_is_deterministic(tmp_path: Path) -> None:
    engine = create("canned", "base", tmp_path, device="cpu", threads=1)
    first, second = engine.decode([noise(1), noise(2)], OPTIONS)
    assert engine.decode([noise(2)], OPTIONS) == [second]
    assert first.text != second.text
    assert first.text == "".join(word.word for word in first.words).strip()
    assert engine.info.name == "canned"
