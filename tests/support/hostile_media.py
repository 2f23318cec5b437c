"""Files that nobody would call recordings: small ones that unfold to years, forged ones, broken ones."""

import io
import random
import struct
from collections.abc import Callable, Iterator
from typing import Final

import av
import numpy as np

from .recordings import RATE, encoded, speech, video_with_sound

_LARGEST_BLOCK: Final = 65_535  # samples that one FLAC frame can hold


def silent_flac(hours: float) -> bytes:
    """Silence as FLAC frames of 65,535 equal samples each: about 15 KB an hour."""
    frames = -(-int(hours * 3600 * RATE) // _LARGEST_BLOCK)
    total = frames * _LARGEST_BLOCK
    # STREAMINFO: block sizes, unknown frame sizes, 16 kHz, mono, 16 bits, samples, no MD5.
    packed = (RATE << 44) | (0 << 41) | (15 << 36) | (total & ((1 << 36) - 1))
    info = struct.pack(">HH", _LARGEST_BLOCK, _LARGEST_BLOCK) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info + b"".join(_silent_frames(frames))


def _silent_frames(frames: int) -> Iterator[bytes]:
    for number in range(frames):
        head = b"\xff\xf8\x75\x08" + _utf8_number(number) + struct.pack(">H", _LARGEST_BLOCK - 1)
        frame = head + bytes([_crc(head, 8, 0x07)]) + b"\x00\x00\x00"
        yield frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")


def _utf8_number(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial) & mask if value & top else (value << 1) & mask
    return value


def full_of_holes(packets: int, hole_seconds: int) -> bytes:
    """A few packets of sound, each so long after the one before that a player would play silence in between."""
    buffer = io.BytesIO()
    source = io.BytesIO(encoded(speech()[:RATE], "wav", "pcm_s16le"))
    with av.open(source) as read, av.open(buffer, "w", format="matroska") as write:
        assert isinstance(read, av.container.InputContainer)
        copied = write.add_stream_from_template(read.streams.audio[0])
        first = next(packet for packet in read.demux(read.streams.audio[0]) if packet.size)
        for number in range(packets):
            packet = av.Packet(bytes(first))
            packet.time_base = first.time_base
            packet.pts = packet.dts = number * hole_seconds * RATE
            packet.duration = first.duration
            packet.stream = copied
            write.mux(packet)
    return buffer.getvalue()


def wav_that_claims(data_bytes: int, held: bytes) -> bytes:
    """A WAV whose header promises so many bytes of samples and which holds these."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + form + b"data" + struct.pack("<I", data_bytes) + held


def mp4_that_claims(seconds: int) -> bytes:
    """An M4A whose headers say that it lasts so long."""
    content = bytearray(encoded(speech()[: 2 * RATE], "mp4", "aac"))
    for box, scale_at, length_at in ((b"mvhd", 16, 20), (b"mdhd", 16, 20)):
        start = content.index(box)
        scale = int.from_bytes(content[start + scale_at : start + scale_at + 4], "big")
        struct.pack_into(">I", content, start + length_at, min(seconds * scale, 2**32 - 1))
    return bytes(content)


def samples_of_formats() -> dict[str, bytes]:
    """A second of speech in the containers and codecs that people send."""
    voice = speech()[RATE : 2 * RATE]
    kinds = {
        "wav": ("wav", "pcm_s16le"),
        "alaw": ("wav", "pcm_alaw"),
        "flac": ("flac", "flac"),
        "mp3": ("mp3", "libmp3lame"),
        "opus": ("ogg", "libopus"),
        "m4a": ("mp4", "aac"),
        "adts": ("adts", "aac"),
        "webm": ("webm", "libopus"),
        "mkv": ("matroska", "pcm_s16le"),
        "aiff": ("aiff", "pcm_s16be"),
        "avi": ("avi", "mp3"),
        "caf": ("caf", "pcm_s16le"),
        "mpegts": ("mpegts", "mp2"),
        "au": ("au", "pcm_mulaw"),
    }
    rates = {"opus": 48_000, "webm": 48_000}
    made = {}
    for name, (container, codec) in kinds.items():
        rate = rates.get(name, RATE)
        made[name] = encoded(np.repeat(voice, rate // RATE), container, codec, rate=rate)
    return made | {"film": video_with_sound()}


def mutated(samples: dict[str, bytes], seed: int) -> tuple[str, bytes]:
    """One of the samples, broken in a way that only depends on the seed."""
    chance = random.Random(seed)
    name = chance.choice(sorted(samples))
    content = bytearray(samples[name])
    others = [samples[other] for other in sorted(samples)]
    for _ in range(chance.choice((1, 1, 2, 4, 16, 64))):
        chance.choice(_BREAKS)(content, chance, others)
    return name, bytes(content)


_Break = Callable[[bytearray, random.Random, list[bytes]], None]


def _place(content: bytearray, chance: random.Random) -> int:
    # Headers decide more than samples do.
    return chance.randrange(max(1, min(len(content), chance.choice((64, 512, 4096, 1 << 30)))))


def _flip(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    if content:
        content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _extreme(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at, size = _place(content, chance), chance.choice((1, 2, 4, 8))
    content[at : at + size] = chance.choice((b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01")) * size


def _cut(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 7, 188, 4096))]


def _end(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    del content[chance.randrange(len(content) + 1) :]


def _repeat(content: bytearray, chance: random.Random, _: list[bytes]) -> None:
    at, size = _place(content, chance), chance.choice((4, 64, 2048))
    content[at:at] = bytes(content[at : at + size]) * chance.choice((1, 3, 50))


def _splice(content: bytearray, chance: random.Random, others: list[bytes]) -> None:
    other = chance.choice(others)
    start = chance.randrange(len(other))
    at = _place(content, chance)
    content[at:at] = other[start : start + chance.choice((16, 300, 5000))]


_BREAKS: Final[tuple[_Break, ...]] = (_flip, _extreme, _extreme, _cut, _end, _repeat, _splice)
