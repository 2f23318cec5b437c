"""Recordings made at test time: real containers and codecs around speech, tones and silence."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

import transcriber

Samples = NDArray[np.float32]
RATE = 16_000


def read_media(path: Path, rate: int = RATE) -> Samples:
    """Decode a file that we made ourselves into mono samples."""
    resampler = AudioResampler(format="fltp", layout="mono", rate=rate)
    blocks: list[Samples] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            blocks += [resampled.to_ndarray()[0] for resampled in resampler.resample(frame)]
    return np.concatenate(blocks).astype(np.float32)


@dataclass(frozen=True)
class Studio:
    """Makes media files in a folder of the test's own."""

    folder: Path

    def record(
        self,
        name: str,
        samples: Samples,
        *,
        codec: str = "pcm_s16le",
        container: str | None = None,
        rate: int = RATE,
        video: bool = False,
    ) -> Path:
        """Encode samples of shape (channels, n) or (n,) at `rate`; with `video`, put a moving picture beside them."""
        path = self.folder / name
        channels = np.atleast_2d(samples)
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels.shape[0]]
        with av.open(str(path), "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate, layout=layout)
            assert isinstance(stream, av.AudioStream)
            if video:
                self._film(output, seconds=channels.shape[1] / rate)
            pts = 0
            for start in range(0, channels.shape[1], 1024):
                block = np.ascontiguousarray(channels[:, start : start + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
                pts += block.shape[1]
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    def film(self, name: str, seconds: float = 2.0) -> Path:
        """Encode a moving picture without any sound."""
        path = self.folder / name
        with av.open(str(path), "w") as output:
            self._film(output, seconds)
        return path

    @staticmethod
    def _film(output: av.container.OutputContainer, seconds: float) -> None:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(int(seconds * 5)):
            picture = np.full((48, 64, 3), index % 256, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture(scope="session")
def speech() -> Samples:
    """Forty-two seconds of clear speech at 16 kHz."""
    return read_media(Path(transcriber.__file__).parent / "samples" / "sample.opus")


@pytest.fixture(scope="session")
def tone() -> Callable[..., Samples]:
    def make(seconds: float, *, hertz: float = 440.0, level: float = 0.3, rate: int = RATE) -> Samples:
        return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)

    return make
