"""Every message of the platform, and who listens to which event.

The table is in the order of a job's life. The publisher of an event is the service its module is named after.
"""

from .base import Command, Event, Notice
from .cleanup import JobExpired
from .control import CancelJob, WorkerHeartbeat
from .jobs import JobCancelled, JobCompleted, JobCreated, JobDeleted, JobFailed, JobStarted, JobTranscribed
from .metadata import MetadataEnriched, MetadataFailed
from .transcriber import AudioPlanned, AudioRejected, ChunkPlanned, ChunkTranscribed, TranscriptReady
from .work import AssembleWork, ChunkWork, PlanWork

SUBSCRIBERS: dict[type[Event], tuple[str, ...]] = {
    JobCreated: ("cleanup",),
    JobStarted: (),
    ChunkPlanned: ("jobs",),
    AudioPlanned: ("jobs",),
    AudioRejected: ("jobs",),
    ChunkTranscribed: ("jobs",),
    TranscriptReady: ("jobs",),
    JobTranscribed: ("metadata",),
    MetadataEnriched: ("jobs",),
    MetadataFailed: ("jobs",),
    JobCompleted: ("cleanup",),
    JobFailed: ("cleanup",),
    JobCancelled: ("cleanup",),
    JobExpired: ("jobs",),
    JobDeleted: ("metadata", "cleanup"),
}

ALL: tuple[type[Event], ...] = tuple(SUBSCRIBERS)

COMMANDS: tuple[type[Command], ...] = (PlanWork, ChunkWork, AssembleWork)

NOTICES: tuple[type[Notice], ...] = (CancelJob, WorkerHeartbeat)

BY_ROUTING_KEY: dict[str, type[Event]] = {event.routing_key: event for event in ALL}
