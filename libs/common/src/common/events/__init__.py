"""The event catalogue: one file per publishing owner, one class per routing key."""

from .access import AccessRevoked
from .auth import UserDeleted
from .base import Command, Event, Message, Notice
from .catalogue import ALL, BY_ROUTING_KEY, COMMANDS, HEARERS, NOTICES, SENDERS, SERVICES, SUBSCRIBERS, TAKERS
from .cleanup import JobExpired, ResetRequested
from .control import (
    CancelJob,
    EndProcesses,
    EngineTuning,
    GpuUse,
    PauseWorkers,
    ServiceHeartbeat,
    StorageMeasured,
    StorageUse,
    WorkerHeartbeat,
)
from .jobs import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted, JobTranscribed
from .metadata import MetadataEnriched, MetadataFailed
from .options import MOST_TRACKS, JobOptions, TrackChoice
from .transcriber import (
    WARNINGS,
    AttemptEvent,
    AudioPlanned,
    AudioRejected,
    AudioSource,
    AudioTrack,
    ChunkPlanned,
    ChunkTranscribed,
    ChunkVerified,
    RecordingWarning,
    TextSegment,
    TranscriptReady,
)
from .work import AssembleWork, ChunkOrigin, ChunkWork, PlanWork, VerifyWork

__all__ = [
    "ALL",
    "BY_ROUTING_KEY",
    "COMMANDS",
    "HEARERS",
    "MOST_TRACKS",
    "NOTICES",
    "SENDERS",
    "SERVICES",
    "SUBSCRIBERS",
    "TAKERS",
    "WARNINGS",
    "AccessRevoked",
    "AssembleWork",
    "AttemptEvent",
    "AudioPlanned",
    "AudioRejected",
    "AudioSource",
    "AudioTrack",
    "CancelJob",
    "ChunkOrigin",
    "ChunkPlanned",
    "ChunkTranscribed",
    "ChunkVerified",
    "ChunkWork",
    "Command",
    "EndProcesses",
    "EngineTuning",
    "Event",
    "GpuUse",
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
    "PauseWorkers",
    "PlanWork",
    "RecordingWarning",
    "ResetRequested",
    "ServiceHeartbeat",
    "StorageMeasured",
    "StorageUse",
    "TextSegment",
    "TrackChoice",
    "TranscriptReady",
    "UserDeleted",
    "VerifyWork",
    "WorkerHeartbeat",
]
