"""Deterministic distortions of a clean recording: noise, level, telephone, music and silence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

RATE: Final = 16_000
_SEED: Final = 20_261_122
_EXTRA_SILENCE: Final = 40.0  # seconds put between two clips of the silent variant
_CLIPS_BETWEEN_SILENCES: Final = 4


@dataclass(frozen=True, slots=True)
class Clip:
    """One passage of the recording: its start and end in seconds, and its words."""

    start: float
    end: float
    ref: str


@dataclass(frozen=True, slots=True)
class Take:
    """A recording and its words."""

    sound: Sound
    clips: tuple[Clip, ...]


def clean(take: Take) -> Take:
    """Return the recording unchanged."""
    return take


def noisy(snr: float) -> Callable[[Take], Take]:
    """Add pink noise, the given number of dB below the speech."""
    return lambda take: replace(take, sound=_mixed(take, _pink(len(take.sound)), snr))


def quiet(decibels: float) -> Callable[[Take], Take]:
    """Lower the level, and quantise to 16 bits."""
    return lambda take: replace(take, sound=_sixteen_bits(take.sound * _gain(decibels)))


def alternating(decibels: float) -> Callable[[Take], Take]:
    """Lower the level of every second clip, as with a speaker far from the microphone."""

    def make(take: Take) -> Take:
        sound = take.sound.copy()
        for clip in take.clips[1::2]:
            first, last = round(clip.start * RATE), round(clip.end * RATE)
            sound[first:last] *= _gain(decibels)
        return replace(take, sound=_sixteen_bits(sound))

    return make


def telephone(take: Take) -> Take:
    """Cut to 300..3400 Hz, sample at 8 kHz, encode with 8-bit mu-law, and resample to 16 kHz."""
    narrow = _band(take.sound, 300.0, 3400.0)[::2]
    companded = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    decoded = np.round(companded * 127) / 127
    expanded = np.sign(decoded) * np.expm1(np.abs(decoded) * np.log(256)) / 255
    wide = np.zeros(len(take.sound), np.float32)
    wide[::2] = expanded[: len(wide[::2])] * 2
    return replace(take, sound=_band(wide, 0.0, 4000.0))


def humming(take: Take) -> Take:
    """Add mains hum with its harmonics, 5 dB below the speech."""
    return replace(take, sound=_mixed(take, _tones(len(take.sound), (50, 100, 150, 250, 350)), 5.0))


def music(take: Take) -> Take:
    """Add chords that change every second with a beat under them, 8 dB below the speech."""
    length = len(take.sound)
    time = np.arange(length) / RATE
    chords = ((220, 277, 330), (247, 311, 370), (196, 247, 294), (165, 208, 247))
    choice = (time.astype(int)) % len(chords)
    sound = np.zeros(length)
    for index, chord in enumerate(chords):
        sound += (choice == index) * sum(np.sin(2 * np.pi * note * time) for note in chord)
    sound *= 0.4 + 0.6 * np.exp(-6 * (time % 1.0))
    beat = np.random.default_rng(_SEED).standard_normal(length) * np.exp(-40 * (time % 0.5))
    return replace(take, sound=_mixed(take, (sound + beat).astype(np.float32), 8.0))


def silences(take: Take) -> Take:
    """Insert 40 s of room noise between groups of clips."""
    pieces: list[Sound] = []
    clips: list[Clip] = []
    done, shift = 0, 0.0
    room = np.random.default_rng(_SEED)
    for index, clip in enumerate(take.clips):
        if index and index % _CLIPS_BETWEEN_SILENCES == 0:
            cut = round((take.clips[index - 1].end + clip.start) / 2 * RATE)
            silence = room.standard_normal(round(_EXTRA_SILENCE * RATE)) * 2e-4
            pieces += [take.sound[done:cut], silence.astype(np.float32)]
            done, shift = cut, shift + _EXTRA_SILENCE
        clips.append(replace(clip, start=clip.start + shift, end=clip.end + shift))
    return Take(np.concatenate([*pieces, take.sound[done:]]).astype(np.float32), tuple(clips))


VARIANTS: Final[dict[str, Callable[[Take], Take]]] = {
    "clean": clean,
    "noisy 10 dB": noisy(10.0),
    "noisy 5 dB": noisy(5.0),
    "quiet -35 dB": quiet(-35.0),
    "every second clip -35 dB": alternating(-35.0),
    "telephone": telephone,
    "humming": humming,
    "music": music,
    "silences": silences,
}


def _gain(decibels: float) -> np.float32:
    return np.float32(10 ** (decibels / 20))


def _sixteen_bits(sound: Sound) -> Sound:
    return np.asarray(np.round(sound * 32768) / 32768, np.float32)


def _mixed(take: Take, other: Sound, snr: float) -> Sound:
    """Add another sound so that the speech, where there is some, is `snr` dB above it."""
    speech = np.concatenate([take.sound[round(clip.start * RATE) : round(clip.end * RATE)] for clip in take.clips])
    wanted = _level(speech) * 10 ** (-snr / 20)
    mixed = take.sound + other * (wanted / _level(other))
    return np.asarray(np.clip(mixed, -1, 1), np.float32)


def _level(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def _pink(length: int) -> Sound:
    spectrum = np.fft.rfft(np.random.default_rng(_SEED).standard_normal(length))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20.0))
    return np.fft.irfft(spectrum, length).astype(np.float32)


def _band(sound: Sound, low: float, high: float) -> Sound:
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


def _tones(length: int, frequencies: Sequence[float]) -> Sound:
    time = np.arange(length) / RATE
    return np.asarray(
        sum(np.sin(2 * np.pi * frequency * time) / (1 + index) for index, frequency in enumerate(frequencies)),
        np.float32,
    )
