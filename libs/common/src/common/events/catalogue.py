"""All messages of the platform, their publishers and their consumers.

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

# The service whose processes consume a command; one process at a time.
COMMAND_CONSUMERS: dict[type[Command], str] = dict.fromkeys(
    (PlanWork, ChunkWork, AssembleWork, VerifyWork), "transcriber"
)

COMMANDS: tuple[type[Command], ...] = tuple(COMMAND_CONSUMERS)

SERVICES = ("gateway", "auth", "jobs", "transcriber", "metadata", "cleanup")

# The services that broadcast a notice, and those that act on it.
SENDERS: dict[type[Notice], tuple[str, ...]] = {
    CancelJob: ("jobs",),
    PauseWorkers: ("jobs",),
    WorkerHeartbeat: ("transcriber",),
    ServiceHeartbeat: SERVICES,
    StorageMeasured: ("cleanup",),
    EndProcesses: ("jobs",),
    AccessRevoked: ("auth",),
}
RECEIVERS: dict[type[Notice], tuple[str, ...]] = {
    CancelJob: ("transcriber",),
    PauseWorkers: ("transcriber",),
    WorkerHeartbeat: ("jobs",),
    ServiceHeartbeat: ("jobs",),
    StorageMeasured: ("jobs",),
    EndProcesses: SERVICES,
    AccessRevoked: ("gateway",),
}

NOTICES: tuple[type[Notice], ...] = tuple(RECEIVERS)

BY_ROUTING_KEY: dict[str, type[Event]] = {event.routing_key: event for event in ALL}
