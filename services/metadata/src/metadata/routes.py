"""HTTP routes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response, status

from common.web import problems
from common.web.errors import QuotaExceeded
from common.web.identity import IdentityDep
from common.web.transaction import SessionDep

from .errors import AnalysisNotConfigured, JobNotFound, MetadataNotFound, TranscriptNotReady
from .schemas import AnalysisState, Metadata
from .service import AnalysisService, EnrichmentService
from .settings import Settings

router = APIRouter(tags=["metadata"])

JobId = Annotated[UUID, Path(description="The job's id.", examples=["4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10"])]


@router.get(
    "/metadata/{job_id}",
    summary="Read statistics, keywords, summary and analysis of a job's transcript",
    responses=problems(MetadataNotFound),
)
async def get_metadata(job_id: JobId, identity: IdentityDep, session: SessionDep) -> Metadata:
    return await EnrichmentService(session).get(job_id, identity)


@router.post(
    "/jobs/{job_id}/analyze",
    summary="Analyse the transcript with a language model: summary, topics, action items, sentiment",
    status_code=status.HTTP_202_ACCEPTED,
    responses={
        200: {"model": AnalysisState, "description": "The analysis exists already."},
        202: {"description": "The analysis is pending; `GET /metadata/{job_id}` shows it when it is done."},
        **problems(JobNotFound, TranscriptNotReady, AnalysisNotConfigured, QuotaExceeded),
    },
)
async def analyze_job(
    *,
    job_id: JobId,
    identity: IdentityDep,
    session: SessionDep,
    request: Request,
    response: Response,
    again: Annotated[bool, Query(description="Create a new analysis although one exists.")] = False,
) -> AnalysisState:
    """The transcript is sent to the configured language model. The request may be repeated."""
    settings: Settings = request.app.state.settings
    analysis = await AnalysisService(session).request(
        job_id,
        identity,
        configured=request.app.state.analyses,
        again=again,
        allowed=settings.analyses_allowed(is_admin=identity.is_admin),
    )
    response.status_code = status.HTTP_200_OK if analysis.state == "done" else status.HTTP_202_ACCEPTED
    return analysis
