"""Files with several audio tracks: all are listed, one is chosen by its speech, the others are reported."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray

from common.events import MOST_TRACKS
from support.tracks import Sounding, reel
from transcriber.audio import tracks as tracks_module
from transcriber.audio.decoder_process import MOST_MIXED
from transcriber.audio.decoders import Decoders
from transcriber.audio.mixing import mixed
from transcriber.errors import Rejected
from transcriber.speech.speech_counter import SpeechCounter
from transcriber.work.cpu_time import CpuClock
from transcriber.work.recording import Recording, SampleSink, read_recording

RATE = 16_000


async def recorded(
    path: Path, track: int | str | None = None, max_seconds: float = 600.0
) -> tuple[NDArray[np.float64], Recording]:
    """Read a file as the planner does; the speech of the chosen track is not measured."""
    pcm = bytearray()

    async def take(block: bytes) -> None:
        pcm.extend(block)

    async def end() -> float:
        return 0.0

    async with Decoders() as decoders:
        reader = SampleSink(take, end, lambda: None, CpuClock())
        recording = await read_recording(decoders, path, track=track, max_seconds=max_seconds, sink=reader)
    return np.frombuffer(bytes(pcm), "<i2") / 32768.0, recording


def rms(samples: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def codes(recording: Recording) -> set[str]:
    return {warning["code"] for warning in recording.warnings}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    def put(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return put


@pytest.fixture(scope="module")
def voice(speech: Any) -> Any:
    return speech[: 6 * RATE]


@pytest.fixture(scope="module")
def other_voice(speech: Any) -> Any:
    return speech[20 * RATE : 26 * RATE]


QUIET = np.zeros(6 * RATE, np.float32)


async def test_first_track_with_speech_is_transcribed_when_the_default_is_silent(store: Any, voice: Any) -> None:
    tracks = [Sounding(QUIET, default=True), Sounding(QUIET), Sounding(voice)]
    samples, recording = await recorded(store("obs.mkv", reel("matroska", tracks, video=True)))
    assert rms(samples) > 0.01
    assert recording.source["track"] == 3
    assert [track["chosen"] for track in recording.source["tracks"]] == [False, False, True]
    assert [track["speech_seconds"] for track in recording.source["tracks"]][:2] == [0.0, 0.0]
    assert recording.warnings == []


async def test_default_track_with_speech_is_chosen_and_the_other_is_named(
    store: Any, voice: Any, other_voice: Any
) -> None:
    tracks = [
        Sounding(voice, default=False, metadata={"language": "eng", "title": "Dub"}),
        Sounding(other_voice, default=True, metadata={"language": "deu", "title": "Original"}),
    ]
    _, recording = await recorded(store("film.mkv", reel("matroska", tracks)))
    first, second = recording.source["tracks"]
    assert (recording.source["track"], second["chosen"], second["default"], first["default"]) == (2, True, True, False)
    assert (first["language"], first["title"], first["codec"], first["channels"]) == ("eng", "Dub", "aac", 1)
    assert first["speech_seconds"] > 3.0
    (warning,) = recording.warnings
    assert warning["code"] == "other_tracks_have_speech"
    assert "track 1 (eng, “Dub”)" in warning["text"]
    assert "track=1" in warning["text"]
    assert "track=mix" in warning["text"]


async def test_commentary_is_no_default(store: Any, voice: Any, other_voice: Any) -> None:
    aside = int(Disposition.comment | Disposition.default)
    tracks = [Sounding(voice, disposition=aside), Sounding(other_voice, disposition=0)]
    _, recording = await recorded(store("film.mkv", reel("matroska", tracks)))
    assert recording.source["track"] == 2
    assert codes(recording) == {"other_tracks_have_speech"}


@pytest.mark.parametrize("container", ["mp4", "mov", "mpegts", "matroska", "avi", "nut"])
async def test_every_container_lists_its_tracks(store: Any, voice: Any, container: str) -> None:
    codec = "mp3" if container == "avi" else "aac"
    tracks = [Sounding(QUIET, codec=codec), Sounding(voice, codec=codec)]
    samples, recording = await recorded(store("call", reel(container, tracks, video=container != "mpegts")))
    assert len(recording.source["tracks"]) == 2
    assert recording.source["track"] == 2
    assert len(samples) == pytest.approx(len(voice), abs=RATE // 4)
    assert recording.source["video"] == (container != "mpegts")


async def test_requested_track_is_decoded_and_the_others_are_not_probed(
    store: Any, voice: Any, other_voice: Any
) -> None:
    path = store("two.mkv", reel("matroska", [Sounding(voice), Sounding(other_voice, codec="flac")]))
    samples, recording = await recorded(path, track=2)
    assert np.abs(samples[: len(other_voice)] - other_voice).max() < 0.01
    assert recording.source["codec"] == "flac"
    assert recording.source["tracks"][0]["speech_seconds"] is None
    assert recording.warnings == []


async def test_missing_track_is_rejected_with_the_existing_ones(store: Any, voice: Any) -> None:
    path = store("one.mkv", reel("matroska", [Sounding(voice, metadata={"language": "eng", "title": "Ann"})]))
    with pytest.raises(Rejected) as caught:
        await recorded(path, track=2)
    assert caught.value.code == "no_such_track"
    assert "no audio track 2" in caught.value.reason
    assert "1 (eng, “Ann”, aac)" in caught.value.reason


async def test_mix_keeps_the_time_of_every_track(store: Any, tone: Any) -> None:
    tracks = [
        Sounding(tone(2.0, rate=48_000), codec="libopus", rate=48_000),
        Sounding(tone(2.0, hertz=700), codec="aac", delay=3.0),
        Sounding(tone(1.0, hertz=300, rate=44_100), codec="mp3", rate=44_100, delay=7.0),
    ]
    samples, recording = await recorded(store("call.mkv", reel("matroska", tracks)), track="mix")
    loud = [
        rms(samples[int(start * RATE) : int(start * RATE) + RATE // 2]) > 0.1 for start in (0.5, 2.4, 3.5, 5.5, 7.3)
    ]
    assert loud == [True, False, True, False, True]
    assert len(samples) / RATE == pytest.approx(8.0, abs=0.2)
    assert recording.source["track"] == "mix"
    assert all(track["chosen"] for track in recording.source["tracks"])


async def test_mix_of_opposite_polarity_keeps_the_voice(store: Any, voice: Any) -> None:
    path = store("call.mkv", reel("matroska", [Sounding(voice, codec="flac"), Sounding(-voice, codec="flac")]))
    samples, _ = await recorded(path, track="mix")
    assert rms(samples) == pytest.approx(rms(voice), rel=0.1)


async def test_tracks_that_are_too_many_to_mix_are_named(store: Any, voice: Any) -> None:
    reels = [Sounding(voice[: RATE // 2], codec="flac") for _ in range(MOST_MIXED + 2)]
    _, recording = await recorded(store("many.mkv", reel("matroska", reels)), track="mix")
    assert sum(track["chosen"] for track in recording.source["tracks"]) == MOST_MIXED
    (warning,) = recording.warnings
    assert warning["code"] == "tracks_not_mixed"
    assert f"{MOST_MIXED} of {MOST_MIXED + 2}" in warning["text"]


def test_as_many_tracks_are_listed_as_can_be_requested() -> None:
    assert tracks_module.MOST_TRACKS == MOST_TRACKS


async def test_mix_of_a_single_track_is_that_track(store: Any, voice: Any) -> None:
    path = store("one.mkv", reel("matroska", [Sounding(voice, codec="flac")]))
    alone, _ = await recorded(path)
    mixed, _ = await recorded(path, track="mix")
    assert np.array_equal(alone, mixed)


async def test_unreadable_track_beside_a_good_one_is_named(store: Any, voice: Any) -> None:
    content = reel("matroska", [Sounding(QUIET, codec="pcm_s16le"), Sounding(voice)])
    assert content.count(b"A_PCM/INT/LIT") == 1
    path = store("odd.mkv", content.replace(b"A_PCM/INT/LIT", b"A_REAL/RALF__"))
    samples, recording = await recorded(path)
    assert rms(samples) > 0.01
    assert recording.source["track"] == 2
    assert [track["readable"] for track in recording.source["tracks"]] == [False, True]
    assert codes(recording) == {"unreadable_tracks"}
    with pytest.raises(Rejected) as caught:
        await recorded(path, track=1)
    assert "cannot be read" in caught.value.reason
    assert "Tracks that can be read: 2" in caught.value.reason


async def test_eight_tracks_of_a_meeting(store: Any, voice: Any) -> None:
    tracks = [
        Sounding(voice if number in (3, 5, 8) else QUIET, metadata={"title": f"Person {number}"})
        for number in range(1, 9)
    ]
    _, recording = await recorded(store("meeting.mkv", reel("matroska", tracks)))
    assert recording.source["track"] == 3
    spoken = [track["index"] for track in recording.source["tracks"] if (track["speech_seconds"] or 0) > 1]
    assert spoken == [5, 8]
    assert "tracks 5 (“Person 5”); 8 (“Person 8”)" in recording.warnings[0]["text"]


async def test_without_any_speech_the_first_loud_track_is_chosen(store: Any, tone: Any) -> None:
    murmur = np.zeros(6 * RATE, np.float32)
    murmur[2 * RATE : 4 * RATE] = tone(2.0, level=0.1)
    path = store("quiet.mkv", reel("matroska", [Sounding(QUIET, default=True), Sounding(murmur)]))
    assert (await recorded(path))[1].source["track"] == 2
    silent = store("silent.mkv", reel("matroska", [Sounding(QUIET), Sounding(QUIET)]))
    assert (await recorded(silent))[1].source["track"] == 1


async def test_choice_is_deterministic_and_not_needed_for_single_tracks(
    store: Any, voice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    decode = Decoders.decode

    def counted(self: Decoders, path: Path, **options: Any) -> Any:
        opened.append(options.get("track"))
        return decode(self, path, **options)

    monkeypatch.setattr(Decoders, "decode", counted)
    one = store("one.mkv", reel("matroska", [Sounding(voice)]))
    two = store("two.mkv", reel("matroska", [Sounding(QUIET), Sounding(voice)]))
    await recorded(one)
    assert opened == [None]
    first, again = [await recorded(two) for _ in range(2)]
    assert np.array_equal(first[0], again[0])
    assert first[1].source == again[1].source


async def test_track_names_are_plain_text(store: Any, voice: Any) -> None:
    title = "a\x01b\n<script>" + "x" * 500
    tracks = [Sounding(voice, metadata={"title": title, "language": "und"}), Sounding(QUIET)]
    _, recording = await recorded(store("names.mkv", reel("matroska", tracks)))
    named = recording.source["tracks"][0]
    assert named["title"].startswith("a b <script>xxx")
    assert len(named["title"]) == 200
    assert named["language"] is None


def test_clicks_are_not_speech() -> None:
    voice = SpeechCounter()
    pattern = np.array(([1.0] * 7 + [0.0]) * 50, np.float32)
    voice.feed(pattern)
    assert voice.seconds == 0.0
    voice.feed(np.ones(5, np.float32))
    voice.feed(np.ones(5, np.float32))
    assert voice.seconds == pytest.approx(10 * 512 / RATE, abs=0.001)


def test_mixing_keeps_only_one_step_of_each_track_in_memory() -> None:
    taken = [0, 0]

    def endless(which: int, length: int) -> Any:
        for _ in range(1000):
            taken[which] += length
            yield np.full(length, 0.1, np.float32)

    blocks = mixed([endless(0, 1600), endless(1, 7)])
    total = 0
    for block in blocks:
        total += len(block)
        if total > 100_000:
            break
    assert max(taken) < total + 40_000


async def test_a_rate_without_speech_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "slow.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(1)
        file.writeframes(bytes(100_000))  # claims 14 hours
    with pytest.raises(Rejected):
        await recorded(path, max_seconds=86_400)
