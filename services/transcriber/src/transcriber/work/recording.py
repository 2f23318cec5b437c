"""Read a recording: the requested track or the first one with speech, then probe the other tracks for speech."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transcriber.audio.decoders import Decoders, Decoding
from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE
from transcriber.errors import Rejected
from transcriber.speech.speech_counter import ENOUGH_SECONDS, TrackProbe

from .cpu_time import CpuClock

_PROBE_SECONDS: Final = 86_400.0  # seconds of all tracks of a file together that are probed
_MOST_NAMED: Final = 8


@dataclass(frozen=True)
class SampleSink:
    """The consumer of the chosen track's samples.

    `take` gets each block, `end` is called after the last one and returns the seconds of speech; `check` raises
    WorkCancelled if the job is cancelled.
    """

    take: Callable[[bytes], Awaitable[None]]
    end: Callable[[], Awaitable[float]]
    check: Callable[[], None]
    cpu: CpuClock


@dataclass(frozen=True)
class Recording:
    """The file's description of itself and what is missing of it; `cpu_seconds` are those of the decoders."""

    source: dict[str, Any]
    decoder: dict[str, str]
    warnings: list[dict[str, str]]
    cpu_seconds: float


async def read_recording(
    decoders: Decoders, path: Path, *, track: int | str | None, max_seconds: float, sink: SampleSink
) -> Recording:
    """Decode a track by its number, all of them for "mix", for None the one that `_Tracks.choose` returns.

    A file with one track is decoded directly. Raises Rejected, DecoderDied, and the errors of the sink.
    """
    async with decoders.decode(path, max_seconds=max_seconds, track=track) as decoding:
        source = await decoding.opened()
        several = track is None and sum(each["readable"] for each in source["tracks"]) > 1
        seconds = 0.0 if several else await _decode(decoding, sink)
    if not several:
        return _recording(decoding, _described(source, {source["track"]: seconds}), decoding.cpu_seconds)
    tracks = _Tracks(decoders, path, source, sink)
    chosen = await tracks.choose()
    async with decoders.decode(path, max_seconds=max_seconds, track=chosen) as decoding:
        seconds = await _decode(decoding, sink)
    await tracks.probe_others(chosen)
    described = _described(decoding.source, tracks.seconds | {chosen: seconds})
    return _recording(decoding, described, tracks.cpu_seconds + decoding.cpu_seconds)


async def _decode(decoding: Decoding, sink: SampleSink) -> float:
    async for pcm in decoding:
        sink.check()
        await sink.take(pcm)
    return await sink.end()


def _described(source: dict[str, Any], seconds: dict[Any, float]) -> dict[str, Any]:
    """Add to each track its seconds of speech; None for those that were not probed."""
    return source | {"tracks": [track | {"speech_seconds": seconds.get(track["index"])} for track in source["tracks"]]}


def _recording(decoding: Decoding, source: dict[str, Any], cpu_seconds: float) -> Recording:
    return Recording(source, decoding.decoder, [*decoding.warnings, *_track_warnings(source)], cpu_seconds)


class _Tracks:
    """The tracks of one file; the choice depends on the file alone.

    Tracks are probed until one has speech, the file's default first. The others are probed after the chosen track has
    been planned, so that no text waits for them.
    """

    def __init__(self, decoders: Decoders, path: Path, source: dict[str, Any], sink: SampleSink) -> None:
        self.seconds: dict[int, float] = {}
        self.cpu_seconds = 0.0
        self._decoders = decoders
        self._path = path
        self._sink = sink
        # Without a requested track, a decoder takes the file's default.
        readable = [each["index"] for each in source["tracks"] if each["readable"]]
        self._order: list[int] = list(dict.fromkeys([source["track"], *readable]))
        self._audible: set[int] = set()

    async def choose(self) -> int:
        """Return the first track with speech, else the first with loud sound, else the file's default."""
        for index in self._order:
            if (await self._probe(index, until_speech=True)).has_speech:
                return index
        return next((index for index in self._order if index in self._audible), self._order[0])

    async def probe_others(self, chosen: int) -> None:
        """Measure the speech of the tracks that are not transcribed."""
        for index in self._order:
            if index != chosen and index not in self.seconds:
                await self._probe(index, until_speech=False)

    async def _probe(self, index: int, *, until_speech: bool) -> TrackProbe:
        probe = TrackProbe()
        left = int(_PROBE_SECONDS / len(self._order) * SAMPLE_RATE) * SAMPLE_BYTES
        async with self._decoders.decode(self._path, max_seconds=_PROBE_SECONDS, track=index) as decoding:
            try:
                async for pcm in decoding:
                    self._sink.check()
                    await self._sink.cpu.run(probe.feed, pcm[:left])
                    left -= len(pcm)
                    if left <= 0 or (until_speech and probe.has_speech):
                        break
            except Rejected:
                pass  # a damaged track; if it is the chosen one, its decoding raises the error
        self.cpu_seconds += decoding.cpu_seconds
        await self._sink.cpu.run(probe.finish)
        if not (until_speech and probe.has_speech):
            self.seconds[index] = probe.speech_seconds
        if probe.audible:
            self._audible.add(index)
        return probe


def _track_warnings(source: dict[str, Any]) -> list[dict[str, str]]:
    """Warn of tracks that have speech but are not transcribed."""
    others = [
        track
        for track in source["tracks"]
        if not track["chosen"] and (track["speech_seconds"] or 0.0) >= ENOUGH_SECONDS
    ]
    if not others:
        return []
    names = "; ".join(_named(track) for track in others[:_MOST_NAMED])
    further = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    one = len(others) == 1
    text = (
        f"Only audio track {source['track']} is transcribed, but there is speech on {'track' if one else 'tracks'} "
        f"{names}{further}. Restart the job with track={others[0]['index']} for {'it' if one else 'one of them'}, or "
        "with track=mix for all tracks together."
    )
    return [{"code": "other_tracks_have_speech", "text": text}]


def _named(track: dict[str, Any]) -> str:
    about = ", ".join(filter(None, (track["language"], track["title"] and f"“{track['title']}”")))
    return f"{track['index']} ({about})" if about else str(track["index"])
