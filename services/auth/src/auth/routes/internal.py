"""Internal operations: only the gateway may call them, and it does not relay them."""

from fastapi import APIRouter, Depends

from auth.accounts import management
from auth.errors import AccountGone, InvalidApiKey
from auth.repository import sessions
from auth.schemas.internal import AccessClaims, KeyExchange, KeyToken, Revocations, UserGeneration
from common.web import SessionDep, problems
from common.web.addresses import from_gateway
from common.web.identity import AccessEnded, PasswordChangeRequired

from .dependencies import ApiKeysDep, ResourcesDep, never_stored

router = APIRouter(prefix="/internal", tags=["internal"], dependencies=[Depends(from_gateway), Depends(never_stored)])


@router.post(
    "/api-keys/exchange",
    summary="Exchange an API key for a short access token",
    responses=problems(InvalidApiKey, PasswordChangeRequired),
)
async def exchange_api_key(body: KeyExchange, api_keys: ApiKeysDep) -> KeyToken:
    token, seconds = await api_keys.exchange(body.key.get_secret_value())
    return KeyToken(access_token=token, expires_in=seconds)


@router.post(
    "/access",
    summary="Check whether the access of a verified token is revoked",
    status_code=204,
    responses=problems(AccountGone, AccessEnded),
)
async def confirm_access(body: AccessClaims, session: SessionDep) -> None:
    await management.with_access(session, body.user_id, body.session_id, body.generation)


@router.get("/revocations", summary="List the revocations whose tokens may not have expired yet")
async def list_revocations(session: SessionDep, resources: ResourcesDep) -> Revocations:
    within = resources.issuer.longest_remembered
    generations = await sessions.recent_generations(session, within)
    return Revocations(
        session_ids=list(await sessions.recently_ended(session, within)),
        users=[UserGeneration(user_id=user_id, generation=generation) for user_id, generation in generations],
        remember_seconds=int(within.total_seconds()),
    )
