"""Whisper's log-mel spectrogram in numpy, equal to openai-whisper's `log_mel_spectrogram`.

Windows shorter than 30 s are padded with zeros as *audio*. A padded spectrogram makes the decoder stop early, because
silence is not zero there.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from transcriber.audio.pcm import SAMPLE_RATE

from .base import WINDOW_SECONDS, Window

Features = npt.NDArray[np.float32]

WINDOW_SAMPLES = int(WINDOW_SECONDS * SAMPLE_RATE)
HOP_SAMPLES = 160
FFT_SAMPLES = 400
FRAMES = WINDOW_SAMPLES // HOP_SAMPLES

_LOG_FLOOR = 1e-10
_DYNAMIC_RANGE = 8.0
# The Slaney mel scale: linear below 1 kHz, logarithmic above.
_HZ_PER_LINEAR_MEL = 200.0 / 3
_FIRST_LOG_HZ = 1000.0
_FIRST_LOG_MEL = _FIRST_LOG_HZ / _HZ_PER_LINEAR_MEL
_LOG_STEP = np.log(6.4) / 27.0


def log_mel(audio: Window, n_mels: int) -> Features:
    """Return the spectrogram of one window, shape (n_mels, 3000), for at most 30 s of audio."""
    padded = np.zeros(WINDOW_SAMPLES + FFT_SAMPLES, np.float32)
    content = np.asarray(audio, np.float32)[:WINDOW_SAMPLES]
    half = FFT_SAMPLES // 2
    padded[half : half + len(content)] = content
    # Frames are centred: the signal is mirrored at both ends, its outermost sample not repeated.
    padded[:half] = padded[half + 1 : FFT_SAMPLES + 1][::-1]
    padded[-half:] = padded[-FFT_SAMPLES - 1 : -half - 1][::-1]
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][:FRAMES]
    spectrum = np.fft.rfft(frames * _hann(), axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = mel_filters(n_mels) @ power.T
    log = np.log10(np.maximum(mel, _LOG_FLOOR))
    log = np.maximum(log, log.max() - _DYNAMIC_RANGE)
    return np.ascontiguousarray((log + 4.0) / 4.0, dtype=np.float32)


@cache
def mel_filters(n_mels: int) -> Features:
    """Return the triangular filters, shape (n_mels, 201), each of equal area."""
    frequencies = np.fft.rfftfreq(FFT_SAMPLES, 1.0 / SAMPLE_RATE)
    highest = _FIRST_LOG_MEL + np.log(SAMPLE_RATE / 2 / _FIRST_LOG_HZ) / _LOG_STEP
    edges = _mel_to_hz(np.linspace(0.0, highest, n_mels + 2))
    ramps = edges[:, None] - frequencies[None, :]
    rising = -ramps[:-2] / np.diff(edges)[:-1, None]
    falling = ramps[2:] / np.diff(edges)[1:, None]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (np.maximum(0.0, np.minimum(rising, falling)) * area[:, None]).astype(np.float32)


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = mel * _HZ_PER_LINEAR_MEL
    logarithmic = _FIRST_LOG_HZ * np.exp(_LOG_STEP * (mel - _FIRST_LOG_MEL))
    return np.where(mel < _FIRST_LOG_MEL, linear, logarithmic)


@cache
def _hann() -> Features:
    return np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)
