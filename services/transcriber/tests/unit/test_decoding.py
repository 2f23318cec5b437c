"""Any media file is decoded to 16 kHz mono PCM or rejected with a reason."""

import asyncio
import contextlib
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from common.testing import eventually_blocking
from transcriber.audio import decoders as decoders_module
from transcriber.audio.decoders import Decoders, Decoding
from transcriber.audio.media import Media
from transcriber.errors import DecoderDied, Rejected


async def run(path: Path, max_seconds: float = 600.0) -> tuple[NDArray[np.float64], Decoding]:
    pcm = bytearray()
    async with Decoders() as decoders, decoders.decode(path, max_seconds=max_seconds) as decoding:
        async for block in decoding:
            pcm += block
    return np.frombuffer(bytes(pcm), "<i2") / 32768.0, decoding


def rms(samples: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def wav(data: bytes, channels: int) -> bytes:
    """A WAV file without a channel layout."""
    form = struct.pack("<IHHIIHH", 16, 1, channels, 16_000, 32_000 * channels, 2 * channels, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form + b"data" + struct.pack("<I", len(data)) + data
    )


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def rejection(path: Path, **limits: float) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await run(path, **limits)
    return caught.value


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.wav", "pcm_s16le", 44_100),
        ("a.flac", "flac", 48_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 48_000),
        ("a.opus", "libopus", 48_000),
        ("a.webm", "libopus", 48_000),
        ("a.aiff", "pcm_s16be", 22_050),
        ("a.mkv", "flac", 16_000),
    ],
)
async def test_common_formats_keep_their_length_and_level(
    studio: Any, tone: Any, name: str, codec: str, rate: int
) -> None:
    path = studio.record(name, tone(3.0, rate=rate), codec=codec, rate=rate)
    samples, decoding = await run(path)
    assert len(samples) / 16_000 == pytest.approx(3.0, abs=0.06)
    assert rms(samples[8000:-8000]) == pytest.approx(0.3 / 2**0.5, rel=0.05)
    assert decoding.warnings == []
    assert decoding.source["sample_rate"] == rate


async def test_16_khz_mono_pcm_comes_out_bit_for_bit(studio: Any, speech: Any) -> None:
    exact = np.rint(speech[:32_000] * 32767).astype("<i2")
    path = studio.record("a.wav", (exact / 32768.0).astype(np.float32))
    samples, _ = await run(path)
    assert np.array_equal(np.rint(samples * 32768).astype("<i2"), exact)


async def test_file_names_in_any_script_are_accepted(studio: Any, tone: Any) -> None:
    path = studio.record("Réunion 会議 – «final» (1).wav", tone(1.0))
    samples, _ = await run(path)
    assert len(samples) == 16_000


async def test_the_audio_of_a_video_is_decoded(studio: Any, tone: Any) -> None:
    path = studio.record("film.mp4", tone(2.0, rate=48_000), codec="aac", rate=48_000, video=True)
    samples, decoding = await run(path)
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.1)
    assert decoding.source["codec"] == "aac"


async def test_a_video_without_sound_is_rejected_as_such(studio: Any) -> None:
    found = await rejection(studio.film("silent.mp4"))
    assert found.code == "no_audio"
    assert "no sound" in found.reason


async def test_an_empty_file_is_rejected_as_such(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.write_bytes(b"")
    assert (await rejection(path)).code == "empty_file"


async def test_an_audio_track_without_samples_has_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    path.write_bytes(wav(b"", channels=1))
    assert (await rejection(path)).code == "no_audio"


@pytest.mark.parametrize(
    "content",
    [
        b"Dear all,\n\nplease find the minutes below.\n" * 200,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"#!AMR",
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        bytes(range(256)) * 64,
    ],
    ids=["text", "playlist", "concat", "amr header", "wav header", "binary"],
)
async def test_other_files_are_undecodable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp3"
    path.write_bytes(content)
    assert (await rejection(path)).code in {"undecodable", "no_audio"}


async def test_a_text_file_named_mp3_is_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp3"
    path.write_text("These are only words.\n" * 500, encoding="utf-8")
    found = await rejection(path)
    assert found.code == "undecodable"
    assert found.reason.endswith(".")


async def test_the_length_limit_applies_while_decoding(studio: Any, tone: Any) -> None:
    found = await rejection(studio.record("long.flac", tone(5.0), codec="flac"), max_seconds=3.0)
    assert found.code == "too_long"
    assert "3 seconds" in found.reason


async def test_a_truncated_recording_is_kept_with_a_warning(studio: Any, speech: Any) -> None:
    path = studio.record("a.flac", speech, codec="flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, decoding = await run(path)
    assert 15 < len(samples) / 16_000 < 30
    assert "truncated" in {warning["code"] for warning in decoding.warnings}


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")])
async def test_a_recording_damaged_in_the_middle_keeps_its_time_line(
    studio: Any, speech: Any, name: str, codec: str
) -> None:
    path = studio.record(name, speech, codec=codec)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(7)
    start = int(len(content) * 0.5)
    content[start : start + len(content) // 50] = rng.bytes(len(content) // 50)
    path.write_bytes(bytes(content))
    samples, decoding = await run(path)
    assert {"damaged", "gaps"} & {warning["code"] for warning in decoding.warnings}
    assert len(samples) == pytest.approx(len(speech), abs=16_000)
    tail = samples[-64_000:-16_000]
    spectrum = np.fft.rfft(tail, 1 << 17) * np.conj(np.fft.rfft(speech[len(speech) - 64_000 :], 1 << 17))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, (1 << 17) - lag) < 16_000


async def test_a_corrupt_header_is_undecodable(studio: Any, tone: Any) -> None:
    path = studio.record("a.m4a", tone(3.0), codec="aac")
    content = bytearray(path.read_bytes())
    content[:64] = bytes(64)
    content[-len(content) // 3 :] = bytes(len(content) // 3)
    path.write_bytes(bytes(content))
    assert (await rejection(path)).code == "undecodable"


async def test_a_call_with_one_silent_side_keeps_its_level(studio: Any, tone: Any) -> None:
    voice = tone(3.0, rate=8000)
    path = studio.record("call.wav", np.stack([voice, np.zeros_like(voice)]), rate=8000, codec="pcm_mulaw")
    samples, _ = await run(path)
    assert rms(samples[8000:-8000]) == pytest.approx(0.3 / 2**0.5, rel=0.05)


async def test_channels_of_opposite_polarity_do_not_cancel(studio: Any, tone: Any) -> None:
    voice = tone(3.0, rate=8000)
    samples, _ = await run(studio.record("call.wav", np.stack([voice, -voice]), rate=8000))
    assert rms(samples[8000:-8000]) == pytest.approx(0.3 / 2**0.5, rel=0.05)


async def test_both_sides_of_a_call_are_mixed(studio: Any, tone: Any) -> None:
    left = np.concatenate([tone(2.0, rate=8000), np.zeros(16_000, np.float32)])
    right = np.concatenate([np.zeros(16_000, np.float32), tone(2.0, hertz=300, rate=8000)])
    samples, _ = await run(studio.record("call.wav", np.stack([left, right]), rate=8000))
    assert rms(samples[4000:28_000]) == pytest.approx(0.3 / 2**0.5, rel=0.1)
    assert rms(samples[36_000:60_000]) == pytest.approx(0.3 / 2**0.5, rel=0.1)


async def test_surround_sound_keeps_its_centre(studio: Any, tone: Any) -> None:
    channels = np.zeros((6, 32_000), np.float32)
    channels[2] = tone(2.0)
    samples, _ = await run(studio.record("surround.flac", channels, codec="flac"))
    assert rms(samples[8000:-8000]) > 0.1


async def test_audio_that_begins_after_the_video_starts_with_silence(studio: Any, tone: Any) -> None:
    path = studio.folder / "late.mkv"
    source = studio.record("late.wav", tone(2.0))
    with av.open(str(source)) as read, av.open(str(path), "w") as write:
        copied = write.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(read.streams.audio[0]):
            if packet.size and packet.pts is not None:
                seconds = float(packet.pts * packet.time_base)
                packet.pts = packet.dts = packet.pts + (0 if seconds < 1.0 else 48_000)
                packet.stream = copied
                write.mux(packet)
    samples, _ = await run(path)
    assert len(samples) / 16_000 == pytest.approx(5.0, abs=0.3)
    assert rms(samples[24_000:48_000]) < 0.01


async def test_a_decoder_killed_from_outside_does_not_reject_the_recording(studio: Any, tone: Any) -> None:
    path = studio.record("long.flac", tone(120.0), codec="flac")
    async with Decoders() as decoders, decoders.decode(path, max_seconds=600.0) as decoding:
        os.kill(decoding.pid, signal.SIGKILL)
        with pytest.raises(DecoderDied):
            await anext(aiter(decoding))


async def test_the_decoder_gets_no_environment(studio: Any, tone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    path = studio.record("long.flac", tone(120.0), codec="flac")
    async with Decoders() as decoders, decoders.decode(path, max_seconds=600.0) as decoding:
        async for _ in decoding:
            process = Path(f"/proc/{decoding.pid}")
            assert b"do-not-tell" not in (process / "environ").read_bytes()
            assert str((process / "cwd").readlink()) == "/"
            limits = (process / "limits").read_text(encoding="ascii")
            rows = {line[:25].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
            assert rows["Max file size"] == "0"
            assert rows["Max open files"] == "0"
            assert int(rows["Max address space"]) == decoders_module.DECODER_MEMORY
            assert int(rows["Max cpu time"]) < 120
            break


async def test_decoders_share_only_the_fork_server(studio: Any, tone: Any) -> None:
    path = studio.record("long.flac", tone(120.0), codec="flac")
    secret = os.open(path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    async with (
        Decoders() as decoders,
        decoders.decode(path, max_seconds=600.0) as one,
        decoders.decode(path, max_seconds=600.0) as other,
    ):
        for decoding in (one, other):
            await anext(aiter(decoding))
        parents = set()
        pipes = []
        for decoding in (one, other):
            process = Path(f"/proc/{decoding.pid}")
            parents.add(parent_of(decoding.pid))
            open_files = {int(each.name): str(each.readlink()) for each in (process / "fd").iterdir()}
            assert (sorted(open_files), open_files[4]) == ([0, 1, 2, 3, 4], str(path))
            assert open_files[0] == "/dev/null"
            pipes += [open_files[2], open_files[3]]
        assert len(parents) == 1
        assert len(set(pipes)) == 4, "each has pipes of its own"
        assert one.pid != other.pid
    os.close(secret)


async def test_a_killed_fork_server_fails_only_running_decoders(studio: Any, tone: Any) -> None:
    path = studio.record("long.flac", tone(120.0), codec="flac")
    async with Decoders() as decoders:
        async with decoders.decode(path, max_seconds=600.0) as decoding:
            os.kill(parent_of(decoding.pid), signal.SIGKILL)
            with pytest.raises(DecoderDied):
                async for _ in decoding:
                    pass
        async with decoders.decode(path, max_seconds=600.0) as decoding:
            assert len([block async for block in decoding]) > 100
        assert decoding.cpu_seconds > 0


async def test_leaving_the_context_ends_the_decoder(studio: Any, tone: Any) -> None:
    path = studio.record("long.flac", tone(120.0), codec="flac")
    async with Decoders() as decoders, decoders.decode(path, max_seconds=600.0) as decoding:
        async for _ in decoding:
            break
        await asyncio.sleep(0.5)  # until the pipe is full and the reader has been paused
    with pytest.raises(ProcessLookupError):
        os.kill(decoding.pid, 0)


async def test_a_recording_that_needs_too_much_memory_is_rejected(
    studio: Any, tone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An ordinary recording under a tiny limit stands for a hostile one under the ordinary limit.
    monkeypatch.setattr(decoders_module, "DECODER_MEMORY", 60 << 20)
    with pytest.raises((Rejected, DecoderDied)):
        await run(studio.record("a.wav", tone(1.0)))


async def test_a_wav_of_many_channels_without_layout_is_mixed(tmp_path: Path) -> None:
    voice = (0.3 * np.sin(2 * np.pi * 300 * np.arange(32_000) / 16_000) * 32767).astype("<i2")
    data = np.stack([voice, voice * 0, voice * 0, voice * 0, voice * 0], axis=1).tobytes()
    path = tmp_path / "five.wav"
    path.write_bytes(wav(data, channels=5))
    samples, decoding = await run(path)
    assert decoding.source["channels"] == 5
    assert rms(samples[8000:-8000]) == pytest.approx(0.3 / 2**0.5, rel=0.05)


def test_a_video_decoder_is_never_opened(studio: Any, tone: Any) -> None:
    path = studio.record("film.mp4", tone(1.0), codec="aac", video=True)
    with path.open("rb") as file:
        media = Media(file)
        media.select(*media.choose(None))
        assert sum(block.shape[1] for block in media.blocks()) > 15_000
    film = [text for name, text in media.messages if name == "mpeg4"]
    assert film
    assert all("not on whitelist" in text for text in film)


@pytest.mark.parametrize("seed", range(6))
async def test_damaged_files_are_decoded_or_rejected(studio: Any, speech: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name, codec, video = [("a.mp3", "libmp3lame", False), ("a.mp4", "aac", True), ("a.flac", "flac", False)][seed % 3]
    path = studio.record(name, speech[: 5 * 16_000], codec=codec, video=video)
    content = bytearray(path.read_bytes())
    for _ in range(100):
        content[rng.integers(len(content))] = rng.integers(256)
    path.write_bytes(bytes(content))
    with contextlib.suppress(Rejected):
        await run(path)


def test_the_decoder_ends_with_the_process_that_started_it(studio: Any, tone: Any) -> None:
    path = studio.record("long.flac", tone(120.0), codec="flac")
    program = (
        "import asyncio, sys, pathlib\n"
        "from transcriber.audio.decoders import Decoders\n"
        "async def main():\n"
        "    path = pathlib.Path(sys.argv[1])\n"
        "    async with Decoders() as decoders, decoders.decode(path, max_seconds=600.0) as decoding:\n"
        "        await anext(aiter(decoding))\n"
        "        print(decoding.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        decoder = Path("/proc", parent.stdout.readline().decode().strip(), "stat")
        assert decoder.exists()
        parent.kill()
    eventually_blocking(lambda: not decoder.exists() or decoder.read_text().rpartition(")")[2].split()[0] == "Z")
