"""Sounds in which nobody speaks, made of sines and random numbers: the same samples every time."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 16_000

Sound = NDArray[np.float32]
_Wave = NDArray[np.float64]
# What one noise needs: the moments of its samples in seconds, and its own random numbers.
_Make = Callable[[_Wave, np.random.Generator], _Wave]

# Frequencies in hertz, and the pattern of sound and silence in seconds: Europe, North America, United Kingdom, Japan.
_RINGS: Final = (
    ((425.0,), (1.0, 4.0)),
    ((440.0, 480.0), (2.0, 4.0)),
    ((400.0, 450.0), (0.4, 0.2, 0.4, 2.0)),
    ((384.0, 416.0), (1.0, 2.0)),
)
_TUNE: Final = (262, 294, 330, 392, 330, 294, 349, 440, 392, 330, 262, 247)


def noise(name: str, seconds: float, *, level: float = 0.08) -> Sound:
    """One of NOISES or OTHERS: mono samples at 16 kHz, with this root mean square, a peak of 0.95 at most."""
    make = {**NOISES, **OTHERS}[name]
    time = np.arange(int(seconds * RATE)) / RATE
    made = make(time, np.random.default_rng(sum(name.encode())))
    made = made * (level / np.sqrt(np.mean(np.square(made))))
    return np.asarray(np.clip(made, -0.95, 0.95), np.float32)


def _ringing(time: _Wave, _: np.random.Generator) -> _Wave:
    """Several countries' ring tones, ten seconds of each."""
    made = np.zeros(len(time))
    for index, (tones, pattern) in enumerate(_RINGS):
        edges = np.cumsum((0.0, *pattern))
        phase = time % edges[-1]
        on = sum((phase >= edges[part]) & (phase < edges[part + 1]) for part in range(0, len(pattern), 2))
        ours = (time // 10).astype(int) % len(_RINGS) == index
        made += ours * on * sum(np.sin(2 * np.pi * tone * time) for tone in tones)
    return made


def _applause(time: _Wave, random: np.random.Generator) -> _Wave:
    """Some hundred claps a second that swell and fade."""
    claps = _events(time, random, 150.0, lambda age: np.exp(-age * 120), 0.05)
    swell = 0.3 + 0.7 * np.minimum(1.0, np.minimum(time / 2.0, (time[-1] - time) / 4.0))
    return np.asarray(_band(claps, 500, 5000) * swell)


def _music(time: _Wave, random: np.random.Generator) -> _Wave:
    """Chords, a bass and a drum."""
    chords = ((220, 277, 330), (247, 311, 370), (196, 247, 294), (165, 208, 247))
    made = np.zeros(len(time))
    for index, chord in enumerate(chords):
        playing = (time.astype(int) // 2) % len(chords) == index
        for note in chord:
            made += playing * sum(np.sin(2 * np.pi * note * part * time) / part**1.5 for part in range(1, 6))
        made += playing * np.sin(2 * np.pi * chord[0] / 2 * time)
    beat = random.standard_normal(len(time)) * np.exp(-30 * (time % 0.5))
    return made * (0.4 + 0.6 * np.exp(-4 * (time % 1.0))) + beat


def _melody(time: _Wave, _: np.random.Generator) -> _Wave:
    """One instrument that plays a tune, with vibrato."""
    note = np.array(_TUNE, float)[(time / 0.4).astype(int) % len(_TUNE)] * 2
    phase = 2 * np.pi * np.cumsum(note * (1 + 0.006 * np.sin(2 * np.pi * 5 * time))) / RATE
    return np.asarray(
        sum(np.sin(part * phase) / part**1.2 for part in range(1, 7))
        * np.minimum(1, (time % 0.4) * 30)
        * np.exp(-2.5 * (time % 0.4))
    )


def _typing(time: _Wave, random: np.random.Generator) -> _Wave:
    """Keys of a keyboard."""
    keys = _events(time, random, 6.0, lambda age: np.exp(-age * 150) + 0.5 * np.exp(-np.abs(age - 0.08) * 300), 0.15)
    return _band(keys, 800, 6000) + 0.01 * random.standard_normal(len(time))


def _wind(time: _Wave, random: np.random.Generator) -> _Wave:
    """Gusts in a microphone."""
    gusts = np.interp(time, np.arange(0, time[-1] + 2, 0.7), random.uniform(0.1, 1.0, int((time[-1] + 2) / 0.7) + 1))
    return _band(random.standard_normal(len(time)), 30, 500) * gusts**2 + 0.1 * _band(
        random.standard_normal(len(time)), 500, 1500
    )


def _beeps(time: _Wave, random: np.random.Generator) -> _Wave:
    """Signals of machines: short tones of changing height, then one that comes each second."""
    heights = random.choice([800, 1000, 1400, 2000], int(time[-1] / 0.5) + 2)
    tone = heights[(time / 0.5).astype(int)].astype(float)
    changing = np.sin(2 * np.pi * tone * time) * ((time % 0.5) < 0.2)
    steady = np.sin(2 * np.pi * 1000 * time) * ((time % 1.0) < 0.15)
    return np.where(time % 20 < 10, changing, steady)


def _traffic(time: _Wave, random: np.random.Generator) -> _Wave:
    """Cars that come and go, and a horn now and then."""
    made = np.zeros(len(time))
    for passing in np.arange(1.5, time[-1] + 3, 3.1):
        near = 1 / (1 + ((time - passing) / 0.8) ** 2)
        made += near * _band(random.standard_normal(len(time)), 60, 900)
        made += 0.15 * near * np.sin(2 * np.pi * (95 - 12 * np.tanh(time - passing)) * time)
    horn = sum(np.sin(2 * np.pi * tone * part * time) / part for tone in (420, 505) for part in (1, 2, 3))
    return np.asarray(made + 0.2 * horn * ((time % 9) > 8.3))


def _hold(time: _Wave, random: np.random.Generator) -> _Wave:
    """The hiss of a line that is held, and a tone that says so every five seconds."""
    signal = np.sin(2 * np.pi * 440 * time) * ((time % 5.0) < 0.25) + np.sin(2 * np.pi * 660 * time) * (
        ((time % 5.0) >= 0.25) & ((time % 5.0) < 0.5)
    )
    return np.asarray(_band(random.standard_normal(len(time)), 300, 3400) * 0.15 + signal)


def _barking(time: _Wave, random: np.random.Generator) -> _Wave:
    """Something like a dog: falling harmonic bursts with noise in them, in groups."""
    age = time % 2.7 % 0.45
    barks = (time % 2.7) < 1.3
    phase = 2 * np.pi * np.cumsum(520 * np.exp(-2.5 * age) + 150) / RATE
    voiced = sum(np.sin(part * phase) / part for part in range(1, 12))
    shape = np.minimum(1, age * 60) * np.exp(-14 * age) * barks
    return shape * (voiced + 0.6 * random.standard_normal(len(time)))


def _water(time: _Wave, random: np.random.Generator) -> _Wave:
    """A stream: noise, and bubbles of rising pitch."""
    made = 0.5 * _band(random.standard_normal(len(time)), 400, 4000)
    for start in random.uniform(0, time[-1], int(time[-1] * 8)):
        first, last = int(start * RATE), min(len(time), int((start + 0.06) * RATE))
        age = time[first:last] - start
        made[first:last] += np.sin(2 * np.pi * (random.uniform(500, 1500) + 4000 * age) * age) * np.exp(-60 * age)
    return made


def _siren(time: _Wave, _: np.random.Generator) -> _Wave:
    """An ambulance: two tones in turn."""
    phase = 2 * np.pi * np.cumsum(np.where(time % 1.3 < 0.65, 440.0, 585.0)) / RATE
    return np.asarray(sum(np.sin(part * phase) / part for part in (1, 2, 3)))


def _engine(time: _Wave, random: np.random.Generator) -> _Wave:
    """A motor whose speed changes."""
    phase = 2 * np.pi * np.cumsum(45 + 20 * np.sin(2 * np.pi * 0.15 * time)) / RATE
    return sum(np.sin(part * phase + part) / part for part in range(1, 20)) + 0.3 * random.standard_normal(len(time))


def _choir(time: _Wave, random: np.random.Generator) -> _Wave:
    """A synthesiser's pad: many detuned harmonics through a filter that moves like a mouth."""
    made = np.zeros(len(time))
    for note in (220.0, 277.2, 329.6):
        for part in range(1, 14):
            centre = 700 + 300 * np.sin(2 * np.pi * 0.2 * time)
            weight = np.exp(-(((note * part - centre) / 250) ** 2)) + 0.4 * np.exp(-(((note * part - 2400) / 400) ** 2))
            made += weight * np.sin(2 * np.pi * note * part * time + random.uniform(0, 6))
    return made * (0.7 + 0.3 * np.sin(2 * np.pi * 0.25 * time))


def _hiss(time: _Wave, random: np.random.Generator) -> _Wave:
    """White noise that grows and goes."""
    return random.standard_normal(len(time)) * (0.2 + (time % 7) / 7)


def _clatter(time: _Wave, random: np.random.Generator) -> _Wave:
    """Dishes: short ringing strokes."""
    made = np.zeros(len(time))
    for start in np.cumsum(random.exponential(0.35, int(time[-1] * 3))):
        first, last = int(start * RATE), min(len(time), int((start + 0.3) * RATE))
        if first < last:
            age = time[first:last] - start
            for tone in random.uniform(1200, 6000, 4):
                made[first:last] += np.sin(2 * np.pi * tone * age) * np.exp(-random.uniform(15, 40) * age)
    return made


NOISES: Final[dict[str, _Make]] = {
    "ringing": _ringing,
    "applause": _applause,
    "music": _music,
    "typing": _typing,
    "wind": _wind,
    "beeps": _beeps,
    "traffic": _traffic,
    "hold": _hold,
}
"""What the table of invented words is measured on."""

OTHERS: Final[dict[str, _Make]] = {
    "melody": _melody,
    "barking": _barking,
    "water": _water,
    "siren": _siren,
    "engine": _engine,
    "choir": _choir,
    "hiss": _hiss,
    "clatter": _clatter,
}
"""Other sounds, to check with. One limit of word_filter.py was tightened because of "choir", no other one."""


def _events(
    time: _Wave, random: np.random.Generator, per_second: float, shape: Callable[[_Wave], _Wave], seconds: float
) -> _Wave:
    """Bursts of noise at random moments, with this shape over their age and a loudness of their own."""
    made = np.zeros(len(time))
    age = np.arange(int(seconds * RATE)) / RATE
    for start in random.uniform(0, time[-1], int(time[-1] * per_second)):
        first = int(start * RATE)
        last = min(len(time), first + len(age))
        burst = shape(age[: last - first]) * random.uniform(0.3, 1.0)
        made[first:last] += burst * random.standard_normal(last - first)
    return made


def _band(sound: _Wave, low: float, high: float) -> _Wave:
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(frequencies < low) | (frequencies > high)] = 0
    return np.fft.irfft(spectrum, len(sound))
