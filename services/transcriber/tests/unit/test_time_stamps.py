"""Gaps, clock resets, joined files and declared lengths: the time line and its warnings."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.tracks import Sounding, reel
from transcriber.audio.decoders import Decoders, Decoding
from transcriber.audio.time_stamps import TrackClock
from transcriber.errors import Rejected

RATE = 16_000
KINDS = {
    "webm": ("libopus", 48_000),
    "matroska": ("aac", 48_000),
    "mp4": ("aac", 48_000),
    "mov": ("aac", 48_000),
    "ogg": ("libopus", 48_000),
    "mpegts": ("aac", 48_000),
    "flv": ("aac", 44_100),
}


async def run(path: Path, max_seconds: float = 86_400.0) -> tuple[NDArray[np.float64], Decoding]:
    pcm = bytearray()
    async with Decoders() as decoders, decoders.decode(path, max_seconds=max_seconds) as decoding:
        async for block in decoding:
            pcm += block
    return np.frombuffer(bytes(pcm), "<i2") / 32768.0, decoding


def codes(decoding: Decoding) -> set[str]:
    return {warning["code"] for warning in decoding.warnings}


def sounding(samples: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The stretches of sound in seconds, separated by half a second of silence."""
    loud = np.flatnonzero(np.abs(samples) > 0.05) / RATE
    cuts = np.flatnonzero(np.diff(loud) > 0.5)
    starts, ends = [loud[0], *loud[cuts + 1]], [*loud[cuts], loud[-1]]
    return [(round(float(start), 1), round(float(end), 1)) for start, end in zip(starts, ends, strict=True)]


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("container", "gap"), [*((container, gap) for container in KINDS for gap in (2.0, 700.0)), ("webm", 5000.0)]
)
async def test_gap_of_any_length_keeps_the_time_line(put: Any, tone: Any, container: str, gap: float) -> None:
    codec, rate = KINDS[container]
    track = Sounding(tone(6.0, rate=rate), codec=codec, rate=rate, gap_at=3.0, gap=gap)
    samples, decoding = await run(put("muted", reel(container, [track])))
    assert len(samples) / RATE == pytest.approx(6.0 + gap, abs=0.2)
    (_, first_end), (second_start, second_end) = sounding(samples)
    assert first_end == pytest.approx(3.0, abs=0.15)
    assert second_start == pytest.approx(3.0 + gap, abs=0.15)
    assert second_end == pytest.approx(6.0 + gap, abs=0.15)
    assert codes(decoding) == {"gaps"}


async def test_gap_longer_than_the_limit_is_cut_with_a_warning(put: Any, tone: Any) -> None:
    track = Sounding(tone(6.0), gap_at=3.0, gap=4000.0)
    samples, decoding = await run(put("reset.mkv", reel("matroska", [track])), max_seconds=3600.0)
    assert len(samples) / RATE == pytest.approx(6.0, abs=0.1)
    assert codes(decoding) == {"clock_jumps"}


async def test_clock_reset_joins_the_sound_with_a_warning(put: Any, tone: Any) -> None:
    parts = [reel("matroska", [Sounding(tone(seconds))]) for seconds in (10.0, 4.0)]
    samples, decoding = await run(put("joined.mkv", b"".join(parts)))
    assert len(samples) / RATE == pytest.approx(14.0, abs=0.2)
    assert codes(decoding) == {"clock_jumps"}


@pytest.mark.parametrize("container", ["matroska", "mp4", "mov", "ogg", "mpegts"])
async def test_audio_that_begins_late_is_not_truncated(put: Any, tone: Any, container: str) -> None:
    codec, rate = KINDS[container]
    track = Sounding(tone(6.0, rate=rate), codec=codec, rate=rate, delay=30.0)
    samples, decoding = await run(put("late", reel(container, [track])))
    assert len(samples) / RATE == pytest.approx(6.0, abs=0.1)
    assert decoding.warnings == []


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska", "mpegts"])
async def test_track_that_begins_later_than_another_starts_with_silence(put: Any, tone: Any, container: str) -> None:
    tracks = [Sounding(np.zeros(RATE, np.float32)), Sounding(tone(2.0), delay=4.0)]
    path = put("late", reel(container, tracks, video=container != "mpegts"))
    pcm = bytearray()
    async with Decoders() as decoders, decoders.decode(path, max_seconds=60, track=2) as decoding:
        async for block in decoding:
            pcm += block
    samples = np.frombuffer(bytes(pcm), "<i2") / 32768.0
    ((start, end),) = sounding(samples)
    assert start == pytest.approx(4.0, abs=0.15)
    assert end == pytest.approx(6.0, abs=0.15)


async def test_edit_list_of_an_mp4_cuts_and_delays_its_sound(put: Any, tone: Any) -> None:
    """An empty edit of 2 s beside a video that begins at once: the audio begins 2 s later."""
    tracks = [Sounding(np.zeros(8 * RATE, np.float32)), Sounding(tone(3.0), delay=2.0)]
    content = reel("mp4", tracks)
    assert content.count(b"elst") == 2
    async with Decoders() as decoders, decoders.decode(put("edit.mp4", content), max_seconds=60, track=2) as decoding:
        samples = np.frombuffer(b"".join([block async for block in decoding]), "<i2") / 32768.0
    ((start, end),) = sounding(samples)
    assert start == pytest.approx(2.0, abs=0.15)
    assert end == pytest.approx(5.0, abs=0.15)


JOINED = {"wav": "pcm_s16le", "mp4": "aac", "mov": "aac", "aiff": "pcm_s16be", "caf": "pcm_s16le", "flv": "aac"}
WHOLE = {"mp3": "mp3", "flac": "flac", "ogg": "libopus", "adts": "aac", "matroska": "aac", "webm": "libopus"}


@pytest.mark.parametrize(("container", "codec"), JOINED.items())
async def test_joined_files_of_which_the_first_is_read_give_a_warning(
    put: Any, tone: Any, container: str, codec: str
) -> None:
    parts = [reel(container, [Sounding(tone(seconds, rate=44_100), codec, 44_100)]) for seconds in (3.0, 2.0)]
    assert codes((await run(put("one", parts[0])))[1]) == set()
    samples, decoding = await run(put("joined", b"".join(parts)))
    assert len(samples) / RATE == pytest.approx(3.0, abs=0.1)
    assert codes(decoding) == {"joined_files"}


@pytest.mark.parametrize(("container", "codec"), WHOLE.items())
async def test_joined_files_that_are_read_as_a_whole_lose_nothing(
    put: Any, tone: Any, container: str, codec: str
) -> None:
    rate = 48_000
    parts = [reel(container, [Sounding(tone(seconds, rate=rate), codec, rate)]) for seconds in (3.0, 2.0)]
    samples, decoding = await run(put("joined", b"".join(parts)))
    assert len(samples) / RATE == pytest.approx(5.0, abs=0.15)
    assert "joined_files" not in codes(decoding)
    assert "truncated" not in codes(decoding)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("webm", "libopus"), ("matroska", "aac"), ("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "mp3"), ("avi", "mp3")],
)
async def test_half_a_file_gives_a_warning(put: Any, speech: Any, container: str, codec: str) -> None:
    voice, rate = np.repeat(speech[: 20 * RATE], 3), 48_000
    content = reel(container, [Sounding(voice, codec, rate)])
    samples, decoding = await run(put("half", content[: len(content) // 2]))
    assert 5 < len(samples) / RATE < 15
    assert "truncated" in codes(decoding)


@pytest.mark.parametrize("container", ["matroska", "mp4"])
async def test_half_a_video_gives_a_warning(put: Any, speech: Any, container: str) -> None:
    """Also without a declared length of the track: browsers and editors write no `DURATION` tags."""
    options = {"moov_size": "200000"} if container == "mp4" else {}
    content = reel(container, [Sounding(speech[: 20 * RATE])], video=True, options=options)
    content = content.replace(b"DURATION", b"DURATI__")
    assert codes((await run(put("whole", content)))[1]) == set()
    assert "truncated" in codes((await run(put("half", content[: len(content) * 6 // 10])))[1])


@pytest.mark.parametrize("container", ["adts", "mp3", "ac3"])
async def test_length_estimated_from_the_bit_rate_is_not_declared(put: Any, speech: Any, container: str) -> None:
    """After a quiet beginning libavformat estimates too low a bit rate for the whole file."""
    sound = np.concatenate([np.zeros(20 * RATE, np.float32), speech[: 10 * RATE]])
    if container == "mp3":
        content = _without_xing(reel("mp3", [Sounding(sound, "mp3", RATE)]))
    else:
        content = reel(container, [Sounding(np.repeat(sound, 3), {"adts": "aac", "ac3": "ac3"}[container], 48_000)])
    _, decoding = await run(put("quiet", content))
    assert decoding.source["declared_seconds"] is None
    assert decoding.warnings == []


def _without_xing(content: bytes) -> bytes:
    """The same MP3 from its second frame on, without tags: it declares no length."""
    with av.open(io.BytesIO(content)) as read:
        assert isinstance(read, av.container.InputContainer)
        packets = [bytes(packet) for packet in read.demux(audio=0) if packet.size]
    return b"".join(packets)


async def test_audio_that_ends_before_the_video_is_not_truncated(put: Any, tone: Any) -> None:
    long, short = Sounding(np.zeros(30 * RATE, np.float32)), Sounding(tone(3.0))
    for container in ("mp4", "matroska"):
        async with (
            Decoders() as decoders,
            decoders.decode(put("film", reel(container, [long, short], video=True)), max_seconds=60, track=2) as found,
        ):
            assert len(b"".join([block async for block in found])) / 2 / RATE == pytest.approx(3.0, abs=0.2)
        assert found.warnings == []


def test_small_steps_back_are_no_jumps_and_a_single_wrong_stamp_makes_no_gap() -> None:
    clock = TrackClock(0.0, 3600.0)
    holes = [clock.place(stamp, 1.0) for stamp in (0.0, 1.1, 2.0, 0.0, 4.0, 5.0, None, 7.0, 8.3)]
    assert holes == [0.0] * 8 + [pytest.approx(0.3)]
    assert clock.jumps == 1


def test_forward_jumps_over_the_limit_are_cut_until_there_are_too_many() -> None:
    clock = TrackClock(0.0, 60.0)
    stamp = 0.0
    for _ in range(16):
        assert clock.place(stamp, 1.0) == 0.0
        stamp += 100.0
    assert clock.jumps == 15
    clock.place(stamp, 1.0)
    with pytest.raises(Rejected) as caught:
        clock.place(stamp + 100.0, 1.0)
    assert caught.value.code == "too_long"
