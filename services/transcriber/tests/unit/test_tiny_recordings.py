"""Recordings of any length, down to a single sample, are planned, for any division into blocks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.tracks import Sounding, reel
from transcriber.audio.decoders import Decoders
from transcriber.audio.downmix import Downmixer
from transcriber.audio.mixing import mixed, mono
from transcriber.speech.analysis import SHORTEST, Analysis
from transcriber.speech.speech_counter import TrackProbe

RATE = 16_000


def pieces(data: bytes, chance: np.random.Generator) -> list[bytes]:
    """The same bytes in blocks of whole samples, of any lengths."""
    cuts = np.sort(chance.integers(0, len(data) // 2 + 1, chance.integers(0, 4))) * 2
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("start", range(1, 5001, 500))
def test_every_length_and_every_split_is_analysed(speech: Any, start: int) -> None:
    chance = np.random.default_rng(start)
    lengths = (
        [*range(1, 70), 511, 512, 513, 1023, 1024, 1025] if start == 1 else chance.integers(start, start + 500, 12)
    )
    loud = (speech[3 * RATE : 3 * RATE + 6000] * 32767).astype("<i2")
    for length in map(int, lengths):
        sound = (loud, loud * 0, np.full(6000, 32767, "<i2"), chance.integers(-32768, 32767, 6000).astype("<i2"))
        for samples in sound:
            pcm = samples[:length].tobytes()
            found = []
            for split in (pieces(pcm, chance), [pcm]):
                analysis, listener = Analysis(), TrackProbe()
                chunks = [chunk for piece in split for chunk in analysis.feed(piece)] + analysis.finish()
                for piece in split:
                    listener.feed(piece)
                listener.finish()
                assert analysis.samples == length
                assert analysis.peaks.document()["length"] == -(-length // 800)
                assert all(chunk.chunk.length * 2 == len(chunk.pcm) for chunk in chunks)
                assert all(
                    0 <= chunk.chunk.start_seconds < chunk.chunk.end_seconds <= length / RATE for chunk in chunks
                )
                found.append([chunk.pcm for chunk in chunks])
            assert found[0] == found[1]
            assert found[0] == [] or length >= SHORTEST


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_every_length_and_every_split_is_mixed(channels: int) -> None:
    chance = np.random.default_rng(channels)
    for length in [1, 2, 3, 799, 3999, 4000, 4001, *map(int, chance.integers(1, 9000, 40))]:
        sound = chance.normal(0, 0.1, (channels, length)).astype(np.float32)
        blocks = np.split(sound, np.sort(chance.integers(0, length + 1, 3)), axis=1)
        whole = np.concatenate(list(mono(blocks)))
        assert len(whole) == length
        assert np.isfinite(whole).all()
        assert np.array_equal(whole, np.concatenate(list(mono([sound]))))
        tracks = np.concatenate(list(mixed([iter(np.split(track, [length // 3])) for track in sound])))
        assert len(tracks) == length
    assert len(Downmixer(channels).flush()) == 0


@pytest.mark.parametrize("samples", [1, 2, 333, 1024])
@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 16_000),
        ("wav", "pcm_s16le", 192_000),
        ("mp4", "aac", 48_000),
        ("mp3", "mp3", 44_100),
        ("flac", "flac", 96_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("matroska", "aac", 44_100),
        ("aiff", "pcm_s16be", 48_000),
    ],
)
async def test_tiny_files_are_recordings_without_speech(
    tmp_path: Path, tone: Any, container: str, codec: str, rate: int, samples: int
) -> None:
    path = tmp_path / "tiny"
    path.write_bytes(reel(container, [Sounding(tone(1.0, rate=rate)[:samples], codec, rate)]))
    analysis, chunks = Analysis(), []
    async with Decoders() as decoders, decoders.decode(path, max_seconds=60) as decoding:
        async for pcm in decoding:
            chunks += analysis.feed(pcm)
    chunks += analysis.finish()
    assert analysis.samples > 0
    assert chunks == []
    assert decoding.warnings == []


def test_digital_silence_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = Analysis()
    monkeypatch.setattr(analysis._detector, "probabilities", None)
    for _ in range(60):
        assert analysis.feed(bytes(2 * 60 * RATE)) == []
        assert analysis.held_bytes < 4 * 60 * RATE
    assert analysis.finish() == []
    assert analysis.duration_seconds == 3600.0
