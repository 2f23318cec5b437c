"""Every message of the platform, and who listens to it.

The table is in the order of a job's life. The publisher of an event is the service its module is named after.
"""

from .access import AccessRevoked
from .auth import UserDeleted
from .base import Command, Event, Notice
from .cleanup import JobExpired, ResetRequested
from .control import (
    CancelJob,
    EndProcesses,
    PauseWorkers,
    ServiceHeartbeat,
    StorageMeasured,
    WorkerHeartbeat,
)
from .jobs import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted, JobTranscribed
from .metadata import MetadataEnriched, MetadataFailed
from .transcriber import AudioPlanned, AudioRejected, ChunkPlanned, ChunkTranscribed, ChunkVerified, TranscriptReady
from .work import AssembleWork, ChunkWork, PlanWork, VerifyWork

SUBSCRIBERS: dict[type[Event], tuple[str, ...]] = {
    JobCreated: ("metadata", "cleanup"),
    JobStarted: ("cleanup",),
    ChunkPlanned: ("jobs",),
    AudioPlanned: ("jobs",),
    AudioRejected: ("jobs",),
    ChunkTranscribed: ("jobs",),
    ChunkVerified: ("jobs",),
    TranscriptReady: ("jobs",),
    JobTranscribed: ("metadata",),
    MetadataEnriched: ("jobs",),
    MetadataFailed: ("jobs",),
    JobCompleted: ("cleanup",),
    JobFailed: ("cleanup",),
    JobCancelled: ("cleanup",),
    JobExpired: ("jobs",),
    ResetRequested: ("jobs", "auth"),
    UserDeleted: ("jobs", "metadata"),
    JobDeleted: ("metadata", "cleanup"),
}

ALL: tuple[type[Event], ...] = tuple(SUBSCRIBERS)

# A command has one taker at a time: which service's processes take it.
TAKERS: dict[type[Command], str] = dict.fromkeys((PlanWork, ChunkWork, AssembleWork, VerifyWork), "transcriber")

COMMANDS: tuple[type[Command], ...] = tuple(TAKERS)

SERVICES = ("gateway", "auth", "jobs", "transcriber", "metadata", "cleanup")

# A notice reaches every process; these are the ones that send it, and those that act on it.
SENDERS: dict[type[Notice], tuple[str, ...]] = {
    CancelJob: ("jobs",),
    PauseWorkers: ("jobs",),
    WorkerHeartbeat: ("transcriber",),
    ServiceHeartbeat: SERVICES,
    StorageMeasured: ("cleanup",),
    EndProcesses: ("jobs",),
    AccessRevoked: ("auth",),
}
HEARERS: dict[type[Notice], tuple[str, ...]] = {
    CancelJob: ("transcriber",),
    PauseWorkers: ("transcriber",),
    WorkerHeartbeat: ("jobs",),
    ServiceHeartbeat: ("jobs",),
    StorageMeasured: ("jobs",),
    EndProcesses: SERVICES,
    AccessRevoked: ("gateway",),
}

NOTICES: tuple[type[Notice], ...] = tuple(HEARERS)

BY_ROUTING_KEY: dict[str, type[Event]] = {event.routing_key: event for event in ALL}
