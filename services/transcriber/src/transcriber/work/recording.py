"""A recording is read: the track that was asked for, or the one with speech, and then what the other tracks hold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from transcriber.audio.decoders import Decoders, Decoding
from transcriber.audio.pcm import SAMPLE_BYTES, SAMPLE_RATE
from transcriber.errors import Rejected
from transcriber.speech.speech_time import ENOUGH_SECONDS, Listener

from .cpu_time import CpuClock

_PATIENCE: Final = 86_400.0  # seconds of all tracks of a file together that are listened to
_MOST_NAMED: Final = 8


@dataclass(frozen=True)
class SampleSink:
    """What is done with the samples of the chosen track.

    `take` gets them block by block, `end` is called after the last and gives the seconds of speech; `check` raises when
    the work is not wanted any more.
    """

    take: Callable[[bytes], Awaitable[None]]
    end: Callable[[], Awaitable[float]]
    check: Callable[[], None]
    cpu: CpuClock


@dataclass(frozen=True)
class Recording:
    """What a file said about itself and what is missing of it; `cpu_seconds` are the decoders'."""

    source: dict[str, Any]
    decoder: dict[str, str]
    warnings: list[dict[str, str]]
    cpu_seconds: float


async def read_recording(
    decoders: Decoders, path: Path, *, track: int | str | None, max_seconds: float, sink: SampleSink
) -> Recording:
    """Decode a track by its number, all of them for "mix", or for None the one that is chosen by `_Tracks.choose`.

    A file with one track is decoded at once. Raises Rejected, DecoderDied, and what the sink raises.
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
    await tracks.listen_to_others(chosen)
    described = _described(decoding.source, tracks.seconds | {chosen: seconds})
    return _recording(decoding, described, tracks.cpu_seconds + decoding.cpu_seconds)


async def _decode(decoding: Decoding, sink: SampleSink) -> float:
    async for pcm in decoding:
        sink.check()
        await sink.take(pcm)
    return await sink.end()


def _described(source: dict[str, Any], seconds: dict[Any, float]) -> dict[str, Any]:
    """Add to each track how much speech it has; None for those that were not listened to."""
    return source | {"tracks": [track | {"speech_seconds": seconds.get(track["index"])} for track in source["tracks"]]}


def _recording(decoding: Decoding, source: dict[str, Any], cpu_seconds: float) -> Recording:
    return Recording(source, decoding.decoder, [*decoding.warnings, *_left_out(source)], cpu_seconds)


class _Tracks:
    """The tracks of one file; which one is chosen depends on the file alone.

    Each is listened to until it is found to have speech, the file's default first. What is left to listen to is left
    until the chosen track has been planned, so that no text waits for it.
    """

    def __init__(self, decoders: Decoders, path: Path, source: dict[str, Any], sink: SampleSink) -> None:
        self.seconds: dict[int, float] = {}
        self.cpu_seconds = 0.0
        self._decoders = decoders
        self._path = path
        self._sink = sink
        # A decoder that is not asked for a track takes the file's default.
        readable = [each["index"] for each in source["tracks"] if each["readable"]]
        self._order: list[int] = list(dict.fromkeys([source["track"], *readable]))
        self._audible: set[int] = set()

    async def choose(self) -> int:
        """The first track with speech, else the first on which anything can be heard, else the file's default."""
        for index in self._order:
            if (await self._listen(index, until_speech=True)).speaks:
                return index
        return next((index for index in self._order if index in self._audible), self._order[0])

    async def listen_to_others(self, chosen: int) -> None:
        """Find out how much speech there is on the tracks that are not transcribed."""
        for index in self._order:
            if index != chosen and index not in self.seconds:
                await self._listen(index, until_speech=False)

    async def _listen(self, index: int, *, until_speech: bool) -> Listener:
        listener = Listener()
        left = int(_PATIENCE / len(self._order) * SAMPLE_RATE) * SAMPLE_BYTES
        async with self._decoders.decode(self._path, max_seconds=_PATIENCE, track=index) as decoding:
            try:
                async for pcm in decoding:
                    self._sink.check()
                    await self._sink.cpu.run(listener.feed, pcm[:left])
                    left -= len(pcm)
                    if left <= 0 or (until_speech and listener.speaks):
                        break
            except Rejected:
                pass  # a broken track; if it is the one to be transcribed, decoding it says so
        self.cpu_seconds += decoding.cpu_seconds
        await self._sink.cpu.run(listener.finish)
        if not (until_speech and listener.speaks):
            self.seconds[index] = listener.speech_seconds
        if listener.audible:
            self._audible.add(index)
        return listener


def _left_out(source: dict[str, Any]) -> list[dict[str, str]]:
    """Say which tracks have speech and are not transcribed."""
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
