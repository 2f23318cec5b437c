"""The event catalogue: one file per publishing owner, one class per routing key."""

from .base import Command, Event, Message, Notice
from .catalogue import ALL, BY_ROUTING_KEY, COMMANDS, HEARERS, NOTICES, SUBSCRIBERS, TAKERS
from .cleanup import JobExpired
from .control import CancelJob, WorkerHeartbeat
from .jobs import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted, JobTranscribed
from .metadata import MetadataEnriched, MetadataFailed
from .options import JobOptions
from .transcriber import (
    AttemptEvent,
    AudioPlanned,
    AudioRejected,
    ChunkPlanned,
    ChunkTranscribed,
    TranscriptReady,
)
from .work import AssembleWork, ChunkWork, PlanWork

__all__ = [
    "ALL",
    "BY_ROUTING_KEY",
    "COMMANDS",
    "HEARERS",
    "NOTICES",
    "SUBSCRIBERS",
    "TAKERS",
    "AssembleWork",
    "AttemptEvent",
    "AudioPlanned",
    "AudioRejected",
    "CancelJob",
    "ChunkPlanned",
    "ChunkTranscribed",
    "ChunkWork",
    "Command",
    "Event",
    "JobCancelled",
    "JobCompleted",
    "JobCreated",
    "JobDeleted",
    "JobExpired",
    "JobFailed",
    "JobOptions",
    "JobStarted",
    "JobTranscribed",
    "Message",
    "MetadataEnriched",
    "MetadataFailed",
    "Notice",
    "PlanWork",
    "TranscriptReady",
    "WorkerHeartbeat",
]
