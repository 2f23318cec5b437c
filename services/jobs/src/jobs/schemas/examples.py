"""Examples for the OpenAPI document."""

from typing import Any, Final

_OPTIONS: Final[dict[str, Any]] = {
    "model": "base",
    "language": None,
    "task": "transcribe",
    "word_timestamps": False,
    "initial_prompt": None,
    "hotwords": None,
    "multilingual": False,
    "track": None,
}

JOB_EXAMPLE: Final[dict[str, Any]] = {
    "id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    "owner_id": "0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77",
    "owner_name": "ann",
    "file_name": "interview.mp3",
    "content_type": "audio/mpeg",
    "size_bytes": 4810233,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "state": "processing",
    "reason_code": None,
    "reason": None,
    "stage": "transcribing",
    "progress": 0.42,
    "attempt": 1,
    "options": _OPTIONS,
    "priority": "normal",
    "tags": ["interview", "2026"],
    "callback_url": None,
    "duplicate_of": None,
    "keywords": [],
    "language": "en",
    "duration_seconds": 301.4,
    "speech_seconds": 268.9,
    "source": {
        "container": "mp3",
        "video": False,
        "codec": "mp3float",
        "sample_rate": 44_100,
        "channels": 2,
        "declared_seconds": 301.4,
        "track": 1,
        "tracks": [
            {
                "index": 1,
                "codec": "mp3float",
                "sample_rate": 44_100,
                "channels": 2,
                "language": None,
                "title": None,
                "default": False,
                "readable": True,
                "chosen": True,
                "speech_seconds": 262.1,
            }
        ],
    },
    "warnings": [],
    "chunks_total": 5,
    "chunks_done": 2,
    "transcript_attempt": None,
    "formats": [],
    "created_at": "2026-11-22T12:00:00Z",
    "queued_at": "2026-11-22T12:00:00Z",
    "started_at": "2026-11-22T12:00:01Z",
    "transcribed_at": None,
    "finished_at": None,
    "timings": {
        "queue_seconds": 0.8,
        "transcription_seconds": None,
        "enrichment_seconds": None,
        "decode_seconds": 9.7,
        "real_time_factor": None,
    },
}

DETAIL_EXAMPLE: Final[dict[str, Any]] = JOB_EXAMPLE | {
    "queue_position": None,
    "eta_seconds": 14.2,
    "costs": {
        "cpu_seconds": 11.9,
        "gpu_seconds": 0.0,
        "audio_seconds": 121.6,
        "decode_seconds": 9.7,
        "wasted_seconds": 0.0,
        "retries": 0,
        "queue_seconds": 0.8,
        "rtfx": None,
    },
    "attempts": [
        {
            "attempt": 1,
            "state": "processing",
            "reason_code": None,
            "reason": None,
            "options": _OPTIONS,
            "chunks_total": 5,
            "chunks_done": 2,
            "decode_seconds": 9.7,
            "warnings": [],
            "queued_at": "2026-11-22T12:00:00Z",
            "started_at": "2026-11-22T12:00:01Z",
            "transcribed_at": None,
            "finished_at": None,
        }
    ],
}

LOG_PAGE_EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "seq": 4711,
            "record": {
                "timestamp": "2026-11-22T12:00:03.120Z",
                "level": "info",
                "event": "chunk decoded",
                "service": "transcriber",
                "job_id": "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
                "chunk": 3,
            },
        }
    ],
    "next_after": 4711,
    "complete": True,
}

# OpenAPI 3.1 describes a stream by the schema of its events.
ONE_EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"enum": ["state", "progress", "segments"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

EVENT_STREAM_EXAMPLE: Final = """id: 1
event: state
data: {"seq": 1, "attempt": 0, "stage": "waiting", "progress": 0.0, "chunks_total": 0, "chunks_done": 0,\
 "state": "queued", "reason_code": null, "reason": null, "transcript_attempt": null}

id: 4
event: segments
data: {"seq": 4, "attempt": 1, "stage": "transcribing", "progress": 0.21, "chunks_total": 2, "chunks_done": 1,\
 "chunk": 0, "segments": [{"start": 0.4, "end": 2.1, "text": "Good morning, everybody."}]}

"""

USAGE_EXAMPLE: Final[dict[str, Any]] = {
    "queued_jobs": {"used": 3, "allowed": 10_000, "resets_at": None},
    "stored_bytes": {"used": 734_003_200, "allowed": 214_748_364_800, "resets_at": None},
    "audio_hours_per_day": {"used": 5.25, "allowed": 240, "resets_at": "2026-11-23T00:00:00Z"},
}
