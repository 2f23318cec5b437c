"""The object keys in the bucket, all defined here."""

import re
from uuid import UUID

UPLOADS = "uploads/"
JOBS = "jobs/"
TRANSCRIPTS = "transcripts/"
RESUMABLE = "resumable/"

_CHUNK_AUDIO = re.compile(rf"{JOBS}[0-9a-f-]{{36}}/a(?P<attempt>\d+)/chunks/\d+\.s16")


def upload_prefix(job: UUID) -> str:
    """Everything that was uploaded for a job."""
    return f"{UPLOADS}{job}/"


def source(job: UUID) -> str:
    """The recording as it was uploaded."""
    return f"{upload_prefix(job)}source"


def resumable_prefix(job: UUID) -> str:
    """Everything of a resumable upload except the parts of the recording."""
    return f"{RESUMABLE}{job}/"


def resumable_record(job: UUID) -> str:
    """The state of the upload (JSON)."""
    return f"{resumable_prefix(job)}upload.json"


def resumable_tail(job: UUID, offset: int) -> str:
    """The last bytes before the offset, which are too few for a part."""
    return f"{resumable_prefix(job)}tail-{offset}"


def resumable_claims(job: UUID) -> str:
    """The claims of the writers of an upload."""
    return f"{resumable_prefix(job)}claims/"


def resumable_claim(job: UUID, writer: UUID) -> str:
    """One writer's claim."""
    return f"{resumable_claims(job)}{writer}"


def job_prefix(job: UUID) -> str:
    """All working files of a job, for all attempts."""
    return f"{JOBS}{job}/"


def attempt_prefix(job: UUID, attempt: int) -> str:
    """All working files of one attempt."""
    return f"{job_prefix(job)}a{attempt}/"


def prefixes(job: UUID) -> tuple[str, str, str]:
    """The prefixes of all objects of a job."""
    return job_prefix(job), transcript_prefix(job), upload_prefix(job)


def chunk_audio(job: UUID, attempt: int, chunk: int) -> str:
    """A chunk's audio: 16 kHz mono signed 16-bit little-endian PCM without a header."""
    return f"{attempt_prefix(job, attempt)}chunks/{chunk:05d}.s16"


def chunk_audio_attempt(key: str) -> int | None:
    """The attempt that a chunk's audio belongs to; None for every other object."""
    match = _CHUNK_AUDIO.fullmatch(key)
    return int(match["attempt"]) if match else None


def chunk_meta(job: UUID, attempt: int, chunk: int) -> str:
    """A chunk's windows with their times in the recording (JSON)."""
    return f"{attempt_prefix(job, attempt)}chunks/{chunk:05d}.json"


def plan(job: UUID, attempt: int) -> str:
    """The plan of the whole recording (JSON)."""
    return f"{attempt_prefix(job, attempt)}plan.json"


def peaks(job: UUID, attempt: int) -> str:
    """The waveform's peaks for display (JSON)."""
    return f"{attempt_prefix(job, attempt)}peaks.json"


def result(job: UUID, attempt: int, chunk: int) -> str:
    """A chunk's transcription (JSON)."""
    return f"{attempt_prefix(job, attempt)}results/{chunk:05d}.json"


def transcript_prefix(job: UUID) -> str:
    """Everything that readers of a job's transcript may see, all attempts."""
    return f"{TRANSCRIPTS}{job}/"


def transcript(job: UUID, attempt: int, fmt: str) -> str:
    """The transcript in one of its formats."""
    return f"{transcript_prefix(job)}a{attempt}/transcript.{fmt}"


def provenance(job: UUID, attempt: int) -> str:
    """The provenance of the attempt's transcript: inputs, engine and workers (JSON)."""
    return f"{transcript_prefix(job)}a{attempt}/provenance.json"


def metadata(job: UUID) -> str:
    """The transcript's metadata (JSON)."""
    return f"{transcript_prefix(job)}metadata.json"
