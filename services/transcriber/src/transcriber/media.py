"""Which media files are let in, and how their sound is read: allow-lists, one audio stream, frames on a timeline."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EINVAL
from typing import BinaryIO, Final

import av
import numpy as np
from av import library_versions
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError

from .downmix import Samples
from .errors import Rejected

RATE: Final = 16_000

# Containers that people record in. No playlists (hls, concat, dash), nothing that opens other files or addresses,
# no image, subtitle or raw formats: those either reach beyond the file or match anything.
DEMUXERS: Final = (
    "aac,ac3,aiff,alac,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dss,dts,eac3,flac,flv,gsm,loas,m4a,matroska,matroska,webm,"
    "mov,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,sln,tak,truehd,tta,voc,w64,"
    "wav,wtv,wv"
)
# Audio only: libavformat opens decoders while it probes, and this list keeps it from ever opening one for video.
DECODERS: Final = (
    "aac,aac_fixed,aac_latm,ac3,ac3_fixed,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,adpcm_swf,adpcm_yamaha,alac,als,amrnb,"
    "amrwb,ape,atrac3,atrac3plus,cook,dca,dsd_lsbf,dsd_lsbf_planar,dsd_msbf,dsd_msbf_planar,dss_sp,eac3,evrc,flac,"
    "g722,g723_1,g726,g726le,g729,gsm,gsm_ms,ilbc,libopencore_amrnb,libopencore_amrwb,libopus,mlp,mp1,mp1float,mp2,"
    "mp2float,mp3,mp3float,mp3adu,mp3on4,mpc7,mpc8,nellymoser,opus,pcm_alaw,pcm_bluray,pcm_dvd,pcm_f16le,pcm_f24le,"
    "pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,"
    "pcm_s24le,pcm_s24le_planar,pcm_s32be,pcm_s32le,pcm_s32le_planar,pcm_s64be,pcm_s64le,pcm_s8,pcm_s8_planar,"
    "pcm_u16be,pcm_u16le,pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8,qcelp,s302m,sipr,speex,tak,truehd,truespeech,"
    "tta,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2,wmavoice"
)

# PyAV loads the modules for kinds of streams when it meets one, which is too late once no file can be opened any more.
for _module in ("audio.stream", "video.stream", "subtitles.stream", "subtitles.codeccontext", "video.codeccontext"):
    importlib.import_module(f"av.{_module}")

_DRIFT: Final = 0.25  # seconds by which a timestamp may be off before it counts as a hole in the recording
_LONGEST_HOLE: Final = 600.0  # seconds; a larger jump is a clock that was reset, not silence
_STUBBORN: Final = 20  # read errors in a row after which the rest of the file is given up


@dataclass(frozen=True, slots=True)
class Source:
    """What the file says about itself; `declared_seconds` is None when it does not say."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    declared_seconds: float | None


def libraries() -> dict[str, str]:
    """Name the versions of the libraries that decode, on which every sample depends."""
    versions = {name: ".".join(map(str, version)) for name, version in library_versions.items()}
    return {"pyav": av.__version__, **versions}


class _Bytes:
    """A file as the demuxer reads it. To ask for a place that cannot be is a broken file's fault, and no disk's."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there; what cannot be answers as libavformat's own files do, by a negative error number."""
        try:
            return self._seek(offset, whence)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            return -EINVAL


class Media:
    """One file's sound as blocks of 16 kHz samples, in the order and at the times at which it is to be heard.

    `damaged` counts the packets that could not be decoded, `intact` those that could; `gap_seconds` is the silence that
    stands for sound missing in between.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.damaged = 0
        self.intact = 0
        self.gap_seconds = 0.0
        try:
            self._container: InputContainer = av.open(
                _Bytes(file),
                mode="r",
                container_options={
                    "format_whitelist": DEMUXERS,
                    "codec_whitelist": DECODERS,
                    "protocol_whitelist": "file",
                },
                metadata_errors="replace",
                buffer_size=1 << 17,
            )
        except (FFmpegError, ValueError) as error:
            raise Rejected("undecodable") from error
        stream = self._container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            if any(stream.type in {"video", "data"} for stream in self._container.streams):
                raise Rejected("no_audio")
            raise Rejected("undecodable")
        if stream.codec_context is None or stream.codec_context.name not in DECODERS.split(","):
            raise Rejected("undecodable", "The sound in this file is in a format that cannot be read.")
        for other in self._container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        stream.codec_context.thread_count = 1
        self._stream = stream
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._clock: float | None = None

    @property
    def source(self) -> Source:
        """What the file says about itself."""
        stream, declared = self._stream, None
        if stream.duration is not None and stream.time_base is not None:
            declared = round(float(stream.duration * stream.time_base), 3)
        context = stream.codec_context
        return Source(self._container.format.name, context.name, context.sample_rate, context.channels, declared)

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 blocks (channels, samples) at 16 kHz; the number of channels may change between blocks."""
        for frame in self._frames():
            hole = self._hole_before(frame)
            if hole > 0:
                yield from self._flush()
                yield from _silence(hole)
            yield from self._resample(frame)
        yield from self._flush()

    def _frames(self) -> Iterator[AudioFrame]:
        failures = 0
        while failures < _STUBBORN:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    try:
                        frames = packet.decode()
                    except EndOfFile:
                        return
                    except (FFmpegError, ValueError):
                        self.damaged += 1
                        continue
                    self.intact += bool(frames)
                    for frame in frames:
                        if isinstance(frame, AudioFrame):
                            yield frame
            except EndOfFile:
                return
            except (FFmpegError, ValueError):
                # A broken place in the container: reading on finds the next intact packet, or the end.
                failures += 1
                self.damaged += 1
            else:
                return

    def _hole_before(self, frame: AudioFrame) -> float:
        """Say how many seconds are missing before this frame, by its timestamp, and move the clock past it."""
        length = frame.samples / frame.sample_rate
        stamp: float | None = frame.time
        begun = self._clock is not None
        if self._clock is None:
            # A player counts from the container's start, so sound that sets in later starts with silence.
            start = self._container.start_time
            self._clock = start / av.time_base if start is not None else (stamp or 0.0)
        missing = 0.0 if stamp is None else stamp - self._clock
        hole = missing if _DRIFT < missing <= _LONGEST_HOLE else 0.0
        self.gap_seconds += hole if begun else 0.0
        self._clock = (self._clock if abs(missing) <= _DRIFT or stamp is None else stamp) + length
        return hole

    def _resample(self, frame: AudioFrame) -> Iterator[Samples]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self._flush()
            # Surround sound has a centre channel that carries the voices: ffmpeg's own matrix knows the layouts. Two
            # channels, and several whose places are unknown, are mixed by us (see downmix.py).
            known = not shape[1].endswith("channels")
            layout = "stereo" if known and len(frame.layout.channels) > 2 else shape[1]
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=RATE, frame_size=RATE)
            self._shape = shape
        assert self._resampler is not None
        try:
            pieces = self._resampler.resample(frame)
        except (FFmpegError, ValueError):
            # A rate or a layout that no sound has.
            self.damaged += 1
            self._resampler = self._shape = None
            return
        for resampled in pieces:
            yield np.asarray(resampled.to_ndarray(), np.float32)

    def _flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                yield np.asarray(resampled.to_ndarray(), np.float32)
        self._resampler = self._shape = None


def _silence(seconds: float) -> Iterator[Samples]:
    left = round(seconds * RATE)
    while left > 0:
        length = min(left, RATE)
        yield np.zeros((1, length), np.float32)
        left -= length
