"""Sound above the background is treated as speech, whatever the voice detector returns."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from transcriber.audio.pcm import SAMPLE_RATE
from transcriber.speech.analysis import Analysis
from transcriber.speech.detector import BLOCK, FRAME
from transcriber.speech.loudness_gate import LoudnessGate
from transcriber.speech.spans import SPEECH

BLOCK_FRAMES = BLOCK // FRAME
ROOM = 1e-3


def noticed(levels: list[float]) -> NDArray[np.bool_]:
    """The frames that pass the gate if the detector finds no speech."""
    attention, found = LoudnessGate(), []
    for start in range(0, len(levels), BLOCK_FRAMES):
        block = np.array(levels[start : start + BLOCK_FRAMES], np.float32)
        found.append(attention.feed(np.zeros(len(block), np.float32), block)[0])
    found.append(attention.finish()[0])
    return np.concatenate(found) >= SPEECH


def kept(sound: Any) -> float:
    analysis = Analysis()
    analysis.feed(np.rint(sound * 32767).astype("<i2").tobytes())
    analysis.finish()
    return analysis.speech_seconds


def test_sound_above_the_background_passes_the_gate_and_nothing_else() -> None:
    found = noticed([ROOM] * 300 + [ROOM * 5] * 30 + [ROOM] * 300)
    assert np.flatnonzero(found).tolist() == list(range(300, 330))


@pytest.mark.parametrize(
    "levels",
    [
        [0.0] * 200,
        [ROOM] * 100 + [0.5] * 4 + [ROOM] * 100,
        [ROOM] * 100 + [ROOM * 3] * 50 + [ROOM] * 50,
        [1e-6] * 100 + [1e-4] * 50 + [1e-6] * 50,
    ],
    ids=["nothing", "a click", "hardly louder than the room", "inaudible"],
)
def test_sound_near_the_background_does_not_pass(levels: list[float]) -> None:
    assert not noticed(levels).any()


def test_a_lasting_noise_becomes_the_background() -> None:
    found = noticed([ROOM] * 640 + [ROOM * 30] * 640)
    assert found[660:700].all()
    assert not found[960:].any()


def test_every_frame_comes_out_once_and_in_order() -> None:
    attention = LoudnessGate()
    probabilities = np.linspace(0.6, 0.9, 200, dtype=np.float32)
    parts = [attention.feed(part, part) for part in np.split(probabilities, [64, 65, 130])] + [attention.finish()]
    assert np.concatenate([part[0] for part in parts]).tolist() == probabilities.tolist()
    assert np.concatenate([part[1] for part in parts]).tolist() == probabilities.tolist()


def test_a_quiet_speaker_after_a_loud_one_is_kept(speech: Any) -> None:
    loud, soft = speech[: 8 * SAMPLE_RATE], speech[8 * SAMPLE_RATE : 16 * SAMPLE_RATE] * 0.018
    room = np.random.default_rng(5).standard_normal(2 * SAMPLE_RATE).astype(np.float32) * 1e-4
    apart, alone = kept(np.concatenate([loud, room, soft])), kept(loud) + kept(soft / 0.018)
    assert apart > 0.93 * alone


def test_a_hiss_is_not_kept() -> None:
    hiss = 0.01 * np.random.default_rng(6).standard_normal(30 * SAMPLE_RATE)
    assert kept(hiss) == 0.0
