"""Media files with several audio tracks, and with time stamps that jump, made at test time."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

Sound = npt.NDArray[np.float32]
_BLOCK = 1024


@dataclass(frozen=True)
class Sounding:
    """A track to be made: mono sound at `rate`, later by `delay` seconds, and what the file says about it."""

    sound: Sound
    codec: str = "aac"
    rate: int = 16_000
    delay: float = 0.0
    default: bool | None = None
    disposition: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    gap_at: float | None = None  # seconds from which on time stamps are later by `gap` seconds
    gap: float = 0.0


def reel(
    container: str, tracks: Sequence[Sounding], *, video: bool = False, options: dict[str, str] | None = None
) -> bytes:
    """A file of these tracks, interleaved as a recorder writes them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options or {}) as output:
        packets: list[tuple[float, Any]] = []
        if video:
            picture = output.add_stream("mpeg4", rate=5)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        streams = [_stream(output, track) for track in tracks]
        if video:
            for index in range(int(5 * max(len(track.sound) / track.rate + track.delay for track in tracks))):
                image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index % 256, np.uint8), format="rgb24")
                packets += [(index / 5, packet) for packet in picture.encode(image)]
            packets += [(float("inf"), packet) for packet in picture.encode(None)]
        for stream, track in zip(streams, tracks, strict=True):
            packets += list(_packets(stream, track))
        for _, packet in sorted(packets, key=lambda each: each[0]):
            output.mux(packet)
    return buffer.getvalue()


def _stream(output: av.container.OutputContainer, track: Sounding) -> av.AudioStream:
    stream = output.add_stream(track.codec, rate=track.rate, layout="mono")
    assert isinstance(stream, av.AudioStream)
    stream.metadata.update(track.metadata)
    if track.disposition is not None:
        stream.disposition = Disposition(track.disposition)
    elif track.default is not None:
        stream.disposition = Disposition.default if track.default else Disposition(0)
    return stream


def _packets(stream: av.AudioStream, track: Sounding) -> Iterator[tuple[float, Any]]:
    pts = 0
    blocks = [track.sound[start : start + _BLOCK] for start in range(0, len(track.sound), _BLOCK)]
    for block in [*blocks, None]:
        frame = None
        if block is not None:
            shaped = np.ascontiguousarray(block[None], np.float32)
            frame = av.AudioFrame.from_ndarray(shaped, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = track.rate, pts, Fraction(1, track.rate)
            pts += len(block)
        for packet in stream.encode(frame):
            assert packet.pts is not None
            base = packet.time_base
            at = float(packet.pts * base)
            late = track.delay + (track.gap if track.gap_at is not None and at >= track.gap_at else 0.0)
            packet.pts = packet.dts = packet.pts + int(late / base)
            yield at + late, packet
