"""Recordings made at test time from the bundled speech: what people really upload, and what they should not."""

import io
import itertools
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

RATE = 16_000
Samples = npt.NDArray[np.int16]
SAMPLES = Path(str(resources.files("transcriber"))) / "samples"


def speech(rate: int = RATE) -> Samples:
    """The bundled sample, mono."""
    return np.concatenate(list(decoded(SAMPLES / "sample.opus", rate)))


def spoken_text() -> str:
    """What the bundled sample says."""
    return (SAMPLES / "sample.txt").read_text()


def silence(seconds: float, rate: int = RATE) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * rate), dtype=np.int16)


def long_recording(seconds: float, pauses: Sequence[float] = (0.7, 1.9, 0.4, 3.1, 1.2)) -> Samples:
    """The bundled sample again and again, with pauses of changing length, until `seconds` are full."""
    sample = speech()
    pieces: list[Samples] = []
    following = itertools.cycle(pauses)
    while sum(len(piece) for piece in pieces) < seconds * RATE:
        pieces += [sample, silence(next(following))]
    return np.concatenate(pieces)


def encoded(samples: Samples, container: str, codec: str, *, rate: int = RATE, channels: int = 1) -> bytes:
    """Samples (interleaved when stereo) as a media file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        _write_audio(output, samples, codec, rate, channels)
    return buffer.getvalue()


def telephone_call() -> bytes:
    """A stereo 8 kHz call as WAV: the caller speaks the first half on the left, the callee the second on the right."""
    voice = speech(8_000)
    middle = _quietest(voice, len(voice) // 2, 8_000)
    left, right = voice.copy(), voice.copy()
    left[middle:], right[:middle] = 0, 0
    return encoded(np.stack([left, right], axis=1).reshape(-1), "wav", "pcm_s16le", rate=8_000, channels=2)


def video_with_sound() -> bytes:
    """An MP4 with a moving picture and the bundled speech."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        picture = output.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
        sound = output.add_stream("aac", rate=44_100, layout="mono")
        voice = speech(44_100)
        for number in range(int(len(voice) / 44_100 * 5)):
            image = np.full((120, 160, 3), number % 256, dtype=np.uint8)
            output.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(picture.encode(None))
        for packet in _encode(sound, voice, 44_100, 1):
            output.mux(packet)
    return buffer.getvalue()


def _write_audio(output: av.container.OutputContainer, samples: Samples, codec: str, rate: int, channels: int) -> None:
    stream = output.add_stream(codec, rate=rate, layout="stereo" if channels == 2 else "mono")
    assert isinstance(stream, av.AudioStream)
    for packet in _encode(stream, samples, rate, channels):
        output.mux(packet)


def _encode(
    stream: av.AudioStream, samples: Samples, rate: int, channels: int
) -> Iterator["av.Packet[Any]"]:  # a string: subscriptable in its stub only
    layout = "stereo" if channels == 2 else "mono"
    resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = rate
    for ready in (*resampler.resample(frame), *resampler.resample(None)):
        yield from stream.encode(ready)
    yield from stream.encode(None)


def decoded(path: Path, rate: int) -> Iterator[Samples]:
    """The samples of a media file, mono, in blocks."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            for ready in resampler.resample(frame):
                yield ready.to_ndarray().reshape(-1).astype(np.int16)
    for ready in resampler.resample(None):
        yield ready.to_ndarray().reshape(-1).astype(np.int16)


def _quietest(samples: Samples, near: int, rate: int) -> int:
    """The start of the quietest 0.2 s within four seconds around a position."""
    step = rate // 5
    starts = range(near - 2 * rate, near + 2 * rate, step)
    return min(starts, key=lambda start: float(np.abs(samples[start : start + step].astype(np.float32)).mean()))
