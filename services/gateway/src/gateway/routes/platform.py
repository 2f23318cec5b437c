"""Routes about the platform: its health, and the metrics of this process."""

from fastapi import APIRouter, Request, Response

from common import metrics
from common.web import AdminDep
from gateway.relay import health
from gateway.relay.health import Health

from .dependencies import ResourcesDep

router = APIRouter(tags=["health"])


@router.get(
    "/health",
    summary="The health of the whole platform",
    responses={503: {"model": Health, "description": "An essential service is unavailable."}},
)
async def platform_health(request: Request, response: Response, resources: ResourcesDep) -> Health:
    return health.respond(await resources.health.now(request), response)


@router.get(
    "/metrics",
    summary="Metrics of this gateway in the Prometheus format",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "verbatim_gateway_log_viewers 3.0\n"}}
        }
    },
)
async def own_metrics(_: AdminDep) -> Response:
    counted, media_type = metrics.exposition()
    return Response(counted, media_type=media_type)
