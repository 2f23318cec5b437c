"""Events of a transcriber about an attempt.

A transcriber has no database, so it publishes an event again when it repeats the work. The ids of these events are
derived from their content, so that the consumer's inbox drops the repetition as a duplicate.
"""

from typing import Any, Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .base import Event

_NAMESPACE = UUID("6f2b3c52-4c8e-5a0b-9d0f-3b5f7f1c2a64")


class AttemptEvent(Event):
    """An event about an attempt, or about one of its chunks, with a deterministic id."""

    job_id: UUID
    attempt: int

    @model_validator(mode="before")
    @classmethod
    def _derive_event_id(cls, data: Any) -> Any:
        """Set the event id unless the message has one."""
        if not isinstance(data, dict) or "event_id" in data:
            return data
        about = "/".join(str(data.get(name, "-")) for name in ("job_id", "attempt", "chunk"))
        return {**data, "event_id": uuid5(_NAMESPACE, f"{cls.routing_key}/{about}")}


WARNINGS: Final = {
    "damaged": "Pieces of the recording could not be decoded and are missing.",
    "gaps": "Parts of the recording hold no sound; they are silent, and the times after them are right.",
    "clock_jumps": "The recording's time stamps go back, or forward by more than the limit; the sound is joined there.",
    "truncated": "The recording is shorter than it says: its end is missing.",
    "joined_files": "The file holds several recordings one after the other, and only the first is read.",
    "unreadable_tracks": "An audio track has a format that cannot be read.",
    "tracks_not_mixed": "More audio tracks than can be mixed; some are not in the transcript.",
    "other_tracks_have_speech": "There is speech on an audio track that is not transcribed.",
}
"""Stable codes for missing parts of a transcribed recording, and their meanings."""


class RecordingWarning(BaseModel):
    """A part of a recording that is not in its transcript, or is at another time than in a player."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str = Field(description=" ".join(f"{code}: {meaning}" for code, meaning in WARNINGS.items()))
    text: str = Field(description="What is missing in this recording, and what can be done, as a sentence for users.")


class AudioTrack(BaseModel):
    """An audio track of a file, as the file describes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int = Field(description="Its number among the audio tracks, from 1; what the option `track` names.")
    codec: str
    sample_rate: int
    channels: int
    language: str | None = Field(default=None, description="As given in the file.")
    title: str | None = None
    default: bool = Field(default=False, description="The file marks it as the default track.")
    readable: bool = Field(default=True, description="Its format can be decoded.")
    chosen: bool = Field(default=False, description="It is transcribed.")
    speech_seconds: float | None = Field(default=None, description="Seconds of speech on it; null = not measured.")


class AudioSource(BaseModel):
    """The file of a recording; codec, rate and channels are of the transcribed track, or of the first of a mix."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    container: str = Field(description="The format of the file: mp4, mov, webm, matroska, wav, mp3, ogg, flac …")
    video: bool = Field(default=False, description="The file has a video stream.")
    codec: str
    sample_rate: int
    channels: int
    declared_seconds: float | None = Field(default=None, description="The duration in the file's header; null = none.")
    track: int | Literal["mix"] | None = Field(default=None, description="What is transcribed: a track, or all mixed.")
    tracks: list[AudioTrack] = Field(default_factory=list, description="All audio tracks (the first 100).")


class ChunkPlanned(AttemptEvent):
    """A chunk's audio is stored; times are seconds of the source recording."""

    routing_key = "chunk.planned.v1"
    chunk: int
    start_seconds: float
    end_seconds: float
    speech_seconds: float
    windows: int
    language: str


class AudioPlanned(AttemptEvent):
    """The whole recording is decoded and cut into chunks; no further chunk follows (0 chunks = no speech)."""

    routing_key = "audio.planned.v1"
    chunks: int
    duration_seconds: float
    speech_seconds: float
    language: str | None = None
    plan_key: str
    peaks_key: str
    cpu_seconds: float = 0.0  # of decoding the recording and finding speech
    source: AudioSource | None = None
    warnings: list[RecordingWarning] = Field(default_factory=list)


class AudioRejected(AttemptEvent):
    """The recording cannot be transcribed, for the given reason; a retry would not help."""

    routing_key = "audio.rejected.v1"
    reason_code: str
    reason: str


class TextSegment(BaseModel):
    """A caption-sized piece of text with its times in seconds of the source recording."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    start: float
    end: float
    text: str


class ChunkTranscribed(AttemptEvent):
    """A chunk's result is stored; text and segments are for live viewers and search (a few KB at most)."""

    routing_key = "chunk.transcribed.v1"
    chunk: int
    result_key: str
    result_sha256: str
    text: str
    segments: list[TextSegment] = Field(default_factory=list)
    audio_seconds: float
    decode_seconds: float
    worker: str
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    wasted_seconds: float = 0.0  # that this worker spent on failed attempts at the chunk
    deliveries: int = 1  # of the work, this one included


class ChunkVerified(AttemptEvent):
    """A chunk was transcribed again; a hash is null where the object no longer exists."""

    routing_key = "chunk.verified.v1"
    chunk: int
    verification: UUID
    stored_sha256: str | None
    decoded_sha256: str | None
    worker: str
    engine: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _derive_event_id(cls, data: Any) -> Any:
        """Derive the id from the verification: a chunk may be verified several times."""
        if not isinstance(data, dict) or "event_id" in data:
            return data
        about = f"{cls.routing_key}/{data.get('verification')}/{data.get('chunk')}"
        return {**data, "event_id": uuid5(_NAMESPACE, about)}


class TranscriptReady(AttemptEvent):
    """All formats of the attempt's transcript are stored."""

    routing_key = "transcript.ready.v1"
    formats: list[str]
    transcript_sha256: str
    language: str | None = None
    duration_seconds: float
    speech_seconds: float
    segments: int
    words: int
