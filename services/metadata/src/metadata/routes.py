"""Questions in."""

from uuid import UUID

from fastapi import APIRouter

from common.web import problems
from common.web.identity import IdentityDep
from common.web.transaction import SessionDep

from .errors import MetadataNotFound
from .schemas import Metadata
from .service import EnrichmentService

router = APIRouter(tags=["metadata"])


@router.get(
    "/metadata/{job_id}", summary="Statistics and keywords of a job's transcript", responses=problems(MetadataNotFound)
)
async def get_metadata(job_id: UUID, identity: IdentityDep, session: SessionDep) -> Metadata:
    return await EnrichmentService(session).get(job_id, identity)
