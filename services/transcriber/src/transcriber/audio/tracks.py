"""The audio tracks of a file: the description of each, and which one is the default."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from transcriber.errors import Rejected

from .decoder_process import MOST_MIXED

MOST_TRACKS: Final = 100  # listed; the same limit as in common.events, which a decoder process does not load
# Hz. Below, no speech can be understood, and a small file may claim many hours.
LOWEST_RATE: Final = 2000
_LONGEST_TITLE: Final = 200
_ASIDE: Final = (
    Disposition.comment | Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.descriptions
    | Disposition.karaoke | Disposition.clean_effects
)  # fmt: skip
# Names that programs write by default.
_HANDLER: Final = re.compile(r"handler|core media|iso media|\bgpac\b|mainconcept|^\W*$|^soun$", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Track:
    """An audio track; `index` counts the audio tracks from 1, `stream` is the index among all streams of the file."""

    index: int
    stream: int
    codec: str
    sample_rate: int
    channels: int
    language: str | None
    title: str | None
    default: bool
    readable: bool
    aside: bool

    def named(self) -> str:
        """Name the track in a sentence: its number and what distinguishes it from the others."""
        about = ", ".join(part for part in (self.language, self.title and f"“{self.title}”", self.codec) if part)
        return f"{self.index} ({about})"

    def document(self) -> dict[str, Any]:
        """Describe the track in the job."""
        return {name: value for name, value in asdict(self).items() if name not in ("stream", "aside")}


def tracks_of(container: InputContainer, decoders: Sequence[str]) -> list[Track]:
    """List the audio tracks in the order of the file; one whose codec is not among `decoders` cannot be read."""
    streams = [stream for stream in container.streams if isinstance(stream, AudioStream)]
    return [_track(stream, index, decoders) for index, stream in enumerate(streams[:MOST_TRACKS], start=1)]


def _track(stream: AudioStream, index: int, decoders: Sequence[str]) -> Track:
    context = stream.codec_context
    return Track(
        index=index,
        stream=stream.index,
        codec="unknown" if context is None else context.name,
        sample_rate=0 if context is None else context.sample_rate,
        channels=0 if context is None else context.channels,
        language=_language(stream),
        title=_title(stream.metadata),
        default=bool(stream.disposition & Disposition.default),
        readable=context is not None and context.name in decoders and not 0 < context.sample_rate < LOWEST_RATE,
        aside=bool(stream.disposition & _ASIDE),
    )


def _language(stream: AudioStream) -> str | None:
    value = _UNPRINTABLE.sub("", stream.metadata.get("language", "")).strip()[:35]
    return value if value.lower() not in ("", "und", "unk", "mis", "zxx", "mul") else None


def _title(metadata: dict[str, str]) -> str | None:
    value = metadata.get("title") or metadata.get("name") or metadata.get("handler_name") or ""
    title = " ".join(_UNPRINTABLE.sub(" ", value).split())[:_LONGEST_TITLE]
    return None if not title or _HANDLER.search(title) else title


def in_order(tracks: Sequence[Track]) -> list[Track]:
    """Sort the readable tracks for the search for speech: the file's default first.

    Commentary, audio descriptions and the like are no default, even if a file marks all its tracks as default.
    """
    readable = [track for track in tracks if track.readable]
    return sorted(readable, key=lambda track: (track.aside, not track.default, track.index))


def chosen_of(tracks: Sequence[Track], wanted: int | str | None) -> list[Track]:
    """Select the tracks to decode: the one of that number, all for "mix", the file's default for None.

    Raises Rejected if there is none, with a sentence that names the existing ones.
    """
    if not tracks:
        raise Rejected("no_audio")
    readable = in_order(tracks)
    if isinstance(wanted, int) and wanted not in [track.index for track in tracks]:
        raise Rejected("no_such_track", track=str(wanted), **_known(tracks))
    chosen = [track for track in readable if wanted in (None, "mix", track.index)]
    if not chosen:
        broken = [track for track in tracks if wanted in (None, "mix", track.index)]
        raise Rejected("undecodable", "".join(_unreadable(broken, readable)))
    if wanted == "mix":
        return sorted(chosen[:MOST_MIXED], key=lambda track: track.index)
    return chosen[:1]


def _known(tracks: Sequence[Track]) -> dict[str, str]:
    names = "; ".join(track.named() for track in tracks[:20])
    return {"tracks": f"one audio track: {names}" if len(tracks) == 1 else f"{len(tracks)} audio tracks: {names}"}


def _unreadable(broken: Sequence[Track], readable: Sequence[Track]) -> Iterator[str]:
    if len(broken) == 1 and not readable:
        yield f"The sound in this file is in a format that cannot be read ({broken[0].codec})."
        return
    yield f"The audio is in a format that cannot be read: track {'; '.join(track.named() for track in broken)}."
    if readable:
        yield f" Tracks that can be read: {'; '.join(track.named() for track in readable)}."
