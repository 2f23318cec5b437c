"""Events in: SUBSCRIPTIONS lists the events and their handlers."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import (
    AudioPlanned,
    AudioRejected,
    ChunkPlanned,
    ChunkTranscribed,
    ChunkVerified,
    JobExpired,
    MetadataEnriched,
    MetadataFailed,
    ResetRequested,
    TranscriptReady,
    UserDeleted,
)
from common.messaging import Subscriptions
from jobs.service import JobCatalogue, JobLifecycle, Reset, Resources, Verifications


async def on_chunk_planned(event: ChunkPlanned, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).chunk_planned(event)


async def on_audio_planned(event: AudioPlanned, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).audio_planned(event)


async def on_audio_rejected(event: AudioRejected, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).audio_rejected(event)


async def on_chunk_transcribed(event: ChunkTranscribed, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).chunk_transcribed(event)


async def on_chunk_verified(event: ChunkVerified, session: AsyncSession, resources: Resources) -> None:
    await Verifications(session, resources).chunk_verified(event)


async def on_transcript_ready(event: TranscriptReady, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).transcript_ready(event)


async def on_metadata_enriched(event: MetadataEnriched, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).metadata_enriched(event)


async def on_metadata_failed(event: MetadataFailed, session: AsyncSession, resources: Resources) -> None:
    await JobLifecycle(session, resources).metadata_failed(event)


async def on_job_expired(event: JobExpired, session: AsyncSession, resources: Resources) -> None:
    await JobCatalogue(session, resources).expire(event)


async def on_reset_requested(event: ResetRequested, session: AsyncSession, resources: Resources) -> None:
    await Reset(session, resources).delete_all(event)


async def on_user_deleted(event: UserDeleted, session: AsyncSession, resources: Resources) -> None:
    await Reset(session, resources).delete_of_user(event)


SUBSCRIPTIONS: Subscriptions[Resources] = {
    ChunkPlanned: on_chunk_planned,
    AudioPlanned: on_audio_planned,
    AudioRejected: on_audio_rejected,
    ChunkTranscribed: on_chunk_transcribed,
    ChunkVerified: on_chunk_verified,
    TranscriptReady: on_transcript_ready,
    MetadataEnriched: on_metadata_enriched,
    MetadataFailed: on_metadata_failed,
    JobExpired: on_job_expired,
    ResetRequested: on_reset_requested,
    UserDeleted: on_user_deleted,
}
