"""Our spectrogram equals openai-whisper's."""

import numpy as np
import pytest

from transcriber.engines.base import Window
from transcriber.engines.features import FRAMES, log_mel, mel_filters
from transcriber.engines.selftest import clip


def noise(seconds: float) -> Window:
    return np.random.default_rng(5).normal(0, 0.1, int(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 4.0, 30.0, 31.0])
def test_every_window_is_padded_to_the_models_input(seconds: float) -> None:
    features = log_mel(noise(seconds), 80)
    assert features.shape == (80, FRAMES)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_padding_is_silence_and_not_zero() -> None:
    features = log_mel(noise(4.0), 80)
    assert features[:, 2_000:].max() < -0.3


@pytest.mark.torch
@pytest.mark.parametrize("n_mels", [80, 128])
def test_filters_are_those_of_openai_whisper(n_mels: int) -> None:
    audio = pytest.importorskip("whisper.audio")
    np.testing.assert_allclose(mel_filters(n_mels), audio.mel_filters("cpu", n_mels).numpy(), atol=1e-7)


@pytest.mark.torch
@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("recording", ["speech", "noise", "silence"])
def test_features_are_those_of_openai_whisper(recording: str, n_mels: int) -> None:
    audio = pytest.importorskip("whisper.audio")
    window = {"speech": clip()[0], "noise": noise(30.0), "silence": np.zeros(16_000, np.float32)}[recording]
    theirs = audio.log_mel_spectrogram(audio.pad_or_trim(window.copy()), n_mels).numpy()
    np.testing.assert_allclose(log_mel(window, n_mels), theirs, atol=2e-4)
