"""Container formats: short names, declared lengths, and the signatures at the beginning of a file."""

import re
from typing import BinaryIO, Final

from av.audio.stream import AudioStream
from av.container import InputContainer

# Names of libavformat that differ from the usual name of the format.
_NAMES: Final = {"matroska,webm": "matroska", "mov,mp4,m4a,3gp,3g2,mj2": "mp4"}
_BRANDS: Final = {"qt": "mov", "3g": "3gp"}
_CLOCK: Final = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

# Signatures of formats, long enough not to match by accident.
_BEGINNING: Final = re.compile(
    rb"RIFF....WAVE|RF64....WAVE|riff\x2e\x91\xcf\x11|RIFF....AVI LIST|\x00\x00[\x00-\x03].ftyp[\x20-\x7e]{4}"
    rb"|FORM....AIF[FC]|caff\x00\x01\x00\x00desc|\x1a\x45\xdf\xa3.{4,48}(?:webm|matroska)|fLaC\x00\x00\x00\x22"
    rb"|OggS\x00\x02.{22}(?:OpusHead|\x01vorbis|\x7fFLAC|Speex)|FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9|TTA1\x01\x00|wvpk.{4}[\x00-\x10]\x04|\.snd\x00\x00\x00|#!AMR",
    re.DOTALL,
)
# A Matroska segment with its size in eight bytes, as writers use that fill it in at the end.
_SEGMENT: Final = re.compile(rb"^\x1a\x45\xdf\xa3.{4,80}?\x18\x53\x80\x67\x01(.{7})", re.DOTALL)
_NO_RIFF_SIZE: Final = 0x7FFF_F000
_MOST_TIMES: Final = 1000  # a declared size of more than this many times the real one is ignored
_LONGEST_BEGINNING: Final = 64
_SEARCHED: Final = 1 << 26  # bytes to search after the last sound
_BLOCK: Final = 1 << 20


def name_of(container: InputContainer, head: bytes) -> str:
    """The short name of a file's format, given its first bytes: "mp4", "mov", "webm", "matroska", "wav" …"""
    name = _NAMES.get(container.format.name, container.format.name)
    if name == "mp4":
        brand = container.metadata.get("major_brand", "").strip().lower()
        return next((short for start, short in _BRANDS.items() if brand.startswith(start)), name)
    if name == "matroska":
        return "webm" if b"webm" in head else name
    return name


def declared_seconds(container: InputContainer, stream: AudioStream, *, video: bool, alone: bool) -> float | None:
    """The declared length of the track; None if the file declares none, or only that of a video beside it."""
    if stream.duration is not None and stream.time_base is not None:
        return round(float(stream.duration * stream.time_base), 3)
    if (clock := _CLOCK.match(stream.metadata.get("DURATION", ""))) is not None:
        hours, minutes, seconds = clock.groups()
        return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 3)
    if container.duration is not None and alone and not video:
        return round(container.duration / 1_000_000, 3)
    return None


def missing_share(head: bytes, size: int) -> float:
    """Which share of the file's bytes is missing, by the size in a RIFF (wav, avi) or Matroska header; 0 for others.

    libavformat reads such a file without an error. A recorder that was killed, or writes to a pipe, leaves a size of
    zero or a huge one, which is ignored.
    """
    declared = 0
    if head[:4] == b"RIFF":
        stated = int.from_bytes(head[4:8], "little")
        declared = stated + 8 if stated < _NO_RIFF_SIZE else 0
    elif (found := _SEGMENT.search(head)) is not None:
        declared = found.end() + int.from_bytes(found[1], "big")
    return 1 - size / declared if size < declared < _MOST_TIMES * size else 0.0


def another_begins(file: BinaryIO, start: int) -> bool:
    """Whether another recording begins in the file after this offset, where the demuxer stopped."""
    file.seek(start)
    kept, searched = b"", 0
    while searched < _SEARCHED and (block := file.read(_BLOCK)):
        if _BEGINNING.search(kept + block):
            return True
        kept, searched = (kept + block)[-_LONGEST_BEGINNING:], searched + len(block)
    return False
