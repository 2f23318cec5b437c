"""HTTP into auth for the gateway alone; it is not relayed to the outside."""

from fastapi import APIRouter, Depends

from common.web import SessionDep, problems
from common.web.addresses import from_gateway
from common.web.identity import AccessEnded, PasswordChangeRequired

from . import accounts, session_repository
from .errors import AccountGone, InvalidApiKey
from .resources import ApiKeysDep, ResourcesDep
from .routes import never_stored
from .schemas import AccessClaims, KeyExchange, KeyToken, Revocations, UserGeneration

router = APIRouter(prefix="/internal", tags=["internal"], dependencies=[Depends(from_gateway), Depends(never_stored)])


@router.post(
    "/api-keys/exchange",
    summary="A short access token for an API key",
    responses=problems(InvalidApiKey, PasswordChangeRequired),
)
async def exchange_api_key(body: KeyExchange, api_keys: ApiKeysDep) -> KeyToken:
    token, seconds = await api_keys.exchange(body.key.get_secret_value())
    return KeyToken(access_token=token, expires_in=seconds)


@router.post(
    "/access",
    summary="Is what a verified token says of itself still good?",
    status_code=204,
    responses=problems(AccountGone, AccessEnded),
)
async def confirm_access(body: AccessClaims, session: SessionDep) -> None:
    await accounts.with_access(session, body.user_id, body.session_id, body.generation)


@router.get("/revocations", summary="What was taken back while tokens of it may live")
async def list_revocations(session: SessionDep, resources: ResourcesDep) -> Revocations:
    within = resources.issuer.longest_remembered
    generations = await session_repository.recent_generations(session, within)
    return Revocations(
        session_ids=list(await session_repository.recently_ended(session, within)),
        users=[UserGeneration(user_id=user_id, generation=generation) for user_id, generation in generations],
        remember_seconds=int(within.total_seconds()),
    )
