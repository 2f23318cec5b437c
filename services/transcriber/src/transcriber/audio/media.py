"""Read media files: allow-lists of formats, one audio track of a file, its frames on the time line."""

import importlib
from collections.abc import Iterator
from errno import EINVAL
from io import SEEK_END
from typing import BinaryIO, Final

import av
import av.logging
import numpy as np
from av import library_versions
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError

from transcriber.errors import Rejected

from .containers import another_begins, declared_seconds, missing_share, name_of
from .downmix import Samples
from .pcm import SAMPLE_RATE
from .time_stamps import TrackClock
from .tracks import Track, chosen_of, tracks_of

# Formats of recordings. No playlists (hls, concat, dash) and nothing that opens other files or addresses; no image,
# subtitle or raw formats, which match any content.
DEMUXERS: Final = (
    "aac,ac3,aiff,alac,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dss,dts,eac3,flac,flv,gsm,loas,m4a,matroska,matroska,webm,"
    "mov,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,sln,tak,truehd,tta,voc,w64,"
    "wav,wtv,wv"
)
# Audio only: libavformat opens decoders while it probes, and this list prevents that it opens one for video.
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

# PyAV loads the modules for kinds of streams when it needs them, which fails once no file can be opened.
for _module in ("audio.stream", "video.stream", "subtitles.stream", "subtitles.codeccontext", "video.codeccontext"):
    importlib.import_module(f"av.{_module}")

_MAX_FAILURES: Final = 20  # consecutive read errors after which the rest of the file is skipped
_GUESSED: Final = "Estimating duration from bitrate"  # libavformat's warning; PyAV has no other sign of it
_OTHER_CLOCK: Final = 10.0  # seconds after which a track of a transport stream belongs to another program
_HEAD_BYTES: Final = 128

# Each opening is examined by itself, and two of the same file give the same messages.
av.logging.set_skip_repeated(False)


def libraries() -> dict[str, str]:
    """Return the versions of the decoding libraries, on which every sample depends."""
    versions = {name: ".".join(map(str, version)) for name, version in library_versions.items()}
    return {"pyav": av.__version__, **versions}


class _Bytes:
    """A file as the demuxer reads it; an invalid seek is an error of the file's content, not of the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.tell = file.tell
        self._seek = file.seek

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek; return a negative error number for an invalid offset, as libavformat's own files do."""
        try:
            return self._seek(offset, whence)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            return -EINVAL


class Media:
    """One file, and the sound of one of its tracks as blocks of 16 kHz samples, in order and at their times.

    `damaged` counts the packets that could not be decoded, `intact` those that could; `clock` has the gaps and jumps of
    the time stamps; `messages` are what the libraries logged while they opened the file, each (library, text).
    """

    def __init__(self, file: BinaryIO, *, limit: float = 86_400.0) -> None:
        """Open a file; a single gap of more than `limit` seconds is ignored. Raises Rejected("undecodable")."""
        self.damaged = 0
        self.intact = 0
        self.found = False  # a packet of sound, decodable or not
        self._file = file
        self._head = file.read(_HEAD_BYTES)
        file.seek(0)
        self._limit = limit
        self._container, self.messages = _opened(file)
        streams = self._container.streams
        self.video = any(
            stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic for stream in streams
        )
        self.tracks = tracks_of(self._container, DECODERS.split(","))
        if not self.tracks and not any(stream.type in {"video", "data"} for stream in streams):
            raise Rejected("undecodable")
        self.clock = TrackClock(None, limit)
        self._end = 0  # of the last packet that was read, in bytes from the beginning of the file
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    def choose(self, track: int | str | None) -> list[Track]:
        """Select the tracks for a number, "mix" or None (the file's default); raises Rejected if there is none."""
        return chosen_of(self.tracks, track)

    def select(self, track: Track) -> None:
        """Decode this track and no other stream."""
        for other in self._container.streams:
            if other.index != track.stream:
                other.discard = av.stream.Discard.all
        stream = self._container.streams[track.stream]
        assert isinstance(stream, AudioStream)
        stream.codec_context.thread_count = 1
        self._stream = stream
        self.clock = TrackClock(self._beginning(stream), self._limit)

    @property
    def container(self) -> str:
        """The short name of the file's format."""
        return name_of(self._container, self._head)

    @property
    def declared_seconds(self) -> float | None:
        """The length of the selected track by the file's own data; None if a library only estimates it."""
        if any(_GUESSED in text for _, text in self.messages):
            return None
        return declared_seconds(self._container, self._stream, video=self.video, alone=len(self.tracks) == 1)

    @property
    def missing_share(self) -> float:
        """Which share of the file is missing according to the size in its header, 0..1."""
        return missing_share(self._head, self._file.seek(0, SEEK_END))

    @property
    def late_seconds(self) -> float:
        """The first time stamp, which some formats count as part of the length."""
        return max(0.0, self._beginning(self._stream) or 0.0)

    def another_begins(self) -> bool:
        """Whether another recording follows the last sound; call after the last block."""
        return self._end > 0 and another_begins(self._file, self._end)

    def blocks(self) -> Iterator[Samples]:
        """Yield float32 blocks (channels, samples) at 16 kHz; the number of channels may change between blocks."""
        for frame in self._frames():
            gap = self.clock.place(frame.time, frame.samples / frame.sample_rate)
            if gap > 0:
                yield from self._flush()
                yield from _silence(gap)
            yield from self._resample(frame)
        yield from self._flush()

    def _beginning(self, stream: AudioStream) -> float | None:
        """The time stamp at which a player begins: the container's, so that a later beginning of the sound is kept."""
        start, own, base = self._container.start_time, stream.start_time, stream.time_base
        seconds = start / av.time_base if start is not None else None
        if seconds is not None and own is not None and base is not None and self.container == "mpegts":
            return float(own * base) if own * base - seconds > _OTHER_CLOCK else seconds
        return seconds

    def _frames(self) -> Iterator[AudioFrame]:
        failures = 0
        while failures < _MAX_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    self.found = self.found or packet.size > 0
                    self._end = max(self._end, (packet.pos or 0) + packet.size)
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
                # A damaged part of the container: the next read finds the next intact packet, or the end.
                self.damaged += failures == 0
                failures += 1
            else:
                return

    def _resample(self, frame: AudioFrame) -> Iterator[Samples]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            yield from self._flush()
            # Surround sound carries voices in its centre channel: ffmpeg's own matrix knows the layouts. Two channels,
            # and several of unknown position, are mixed here (see downmix.py).
            known = not shape[1].endswith("channels")
            layout = "stereo" if known and len(frame.layout.channels) > 2 else shape[1]
            self._resampler = AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE, frame_size=SAMPLE_RATE)
            self._shape = shape
        assert self._resampler is not None
        try:
            pieces = self._resampler.resample(frame)
        except (FFmpegError, ValueError):
            # An invalid rate or layout.
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


def _opened(file: BinaryIO) -> tuple[InputContainer, list[tuple[str, str]]]:
    """Open a file within the allow-lists, and capture the messages of the libraries."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines:
            container = av.open(
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
    finally:
        av.logging.set_level(before)
    return container, [(name, text.strip()) for _, name, text in lines]


def _silence(seconds: float) -> Iterator[Samples]:
    left = round(seconds * SAMPLE_RATE)
    while left > 0:
        length = min(left, SAMPLE_RATE)
        yield np.zeros((1, length), np.float32)
        left -= length
