"""A quiet passage becomes as loud as ordinary speech, and nothing else changes."""

from typing import Any

import numpy as np
import pytest

from transcriber.speech.levelling import raise_quiet_speech


def pcm(sound: Any) -> bytes:
    return bytes(np.rint(sound * 32767).astype("<i2").tobytes())


def level(samples: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(np.frombuffer(samples, "<i2") / 32768.0))))


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_ordinary_speech_stays_as_it_is(speech: Any, gain: float) -> None:
    assert raise_quiet_speech(pcm(speech[:80_000] * gain)) == pcm(speech[:80_000] * gain)


@pytest.mark.parametrize("seconds", [1, 5])
def test_quiet_speech_becomes_as_loud_as_ordinary_speech(speech: Any, seconds: int) -> None:
    quiet = pcm(speech[: seconds * 16_000] * 0.02)
    assert 0.02 < level(raise_quiet_speech(quiet)) < 0.12
    assert len(raise_quiet_speech(quiet)) == len(quiet)


def test_a_quiet_answer_becomes_as_loud_as_the_loud_question_in_the_same_span(speech: Any) -> None:
    second, pause = 16_000, np.zeros(4_800, np.float32)
    question, answer = pcm(speech[: 5 * second]), pcm(speech[8 * second : 12 * second] * 0.02)
    levelled = raise_quiet_speech(question + pcm(pause) + answer)
    assert levelled[: len(question)] == question
    assert 0.02 < level(levelled[-len(answer) :]) < 0.12
    assert len(levelled) == len(question) + len(pcm(pause)) + len(answer)


def test_a_rustle_is_not_raised() -> None:
    rustle = pcm(np.random.default_rng(2).standard_normal(16_000) * 0.001)
    assert raise_quiet_speech(rustle) == rustle


@pytest.mark.parametrize("samples", [b"", b"\x01\x00" * 100, b"\x00\x00" * 48_000], ids=["none", "few", "zeros"])
def test_empty_audio_is_no_error(samples: bytes) -> None:
    assert raise_quiet_speech(samples) == samples
