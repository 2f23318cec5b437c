"""HTTP into auth for everybody: logging in and out, the own account, its sessions and API keys."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Path, Response

from common.web import Identity, SessionDep, Unauthorized, problems
from common.web.identity import limited_identity

from . import keys, repository, session_repository
from .bodies import LOGOUT_BODY, REFRESH_BODY, refresh_request
from .errors import (
    AccountGone,
    ApiKeyNotFound,
    InvalidCredentials,
    InvalidRefreshToken,
    LoginBusy,
    RegistrationDisabled,
    ScopeNotAllowed,
    SessionNotFound,
    SignInNeeded,
    TooManyApiKeys,
    TooManyAttempts,
    UsernameTaken,
    WeakPassword,
    WrongPassword,
)
from .resources import (
    AccountsDep,
    ApiKeysDep,
    CallerDep,
    LeavingDep,
    LimitedPersonDep,
    PersonDep,
    ResourcesDep,
    SignedInDep,
)
from .schemas import (
    ApiKeyCreated,
    ApiKeyList,
    Jwks,
    Me,
    NewApiKey,
    PasswordChange,
    RefreshRequest,
    Registration,
    SessionList,
    Token,
    TokenForm,
)

router = APIRouter(tags=["auth"])
keys_router = APIRouter(prefix="/api-keys", tags=["api keys"])

JWKS_CACHE_SECONDS = 300
SHOWN_SESSIONS = 200

SessionId = Annotated[UUID, Path(description="The session's id.", examples=["2f0c2c52-0d2b-4b7e-8c0b-9d1d5f0b8a11"])]
KeyId = Annotated[UUID, Path(description="The key's id.", examples=["7c1a52f4-8b1f-4a0a-9a39-3f6f0d2a55c1"])]


def never_stored(response: Response) -> None:
    """Secrets in an answer must not stay in anybody's cache."""
    response.headers["Cache-Control"] = "no-store"


@router.post(
    "/token",
    summary="Log in with user name and password, or refresh",
    dependencies=[Depends(never_stored)],
    responses=problems(InvalidCredentials, InvalidRefreshToken, TooManyAttempts, LoginBusy),
)
async def token(form: Annotated[TokenForm, Form()], caller: CallerDep, resources: ResourcesDep) -> Token:
    if form.refresh_token is not None and form.grant_type == "refresh_token":
        return Token.of(await resources.grants.refresh(form.refresh_token.get_secret_value(), caller))
    assert form.username is not None  # the form says so
    assert form.password is not None
    return Token.of(await resources.login.log_in(form.username, form.password.get_secret_value(), caller))


@router.post(
    "/token/refresh",
    summary="A new pair of tokens for a refresh token, which is good for one use",
    description="A refresh token that comes a second time ends its session: somebody else may hold it.",
    dependencies=[Depends(never_stored)],
    responses=problems(InvalidRefreshToken),
    openapi_extra=REFRESH_BODY,
)
async def refresh(
    body: Annotated[RefreshRequest, Depends(refresh_request)], caller: CallerDep, resources: ResourcesDep
) -> Token:
    return Token.of(await resources.grants.refresh(body.refresh_token.get_secret_value(), caller))


@router.post(
    "/logout",
    summary="End a session: that of the access token, of the refresh token in the body, or of both",
    description="The session's tokens are void at once. A session that is over already is no error, and neither is an "
    "access token that has expired where a refresh token is sent.",
    status_code=204,
    responses=problems(Unauthorized, SignInNeeded),
    openapi_extra=LOGOUT_BODY,
)
async def logout(leaving: LeavingDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep) -> None:
    await resources.grants.log_out(session, leaving.identity, leaving.refresh_token, caller)


@router.post(
    "/register",
    summary="Make an account for yourself, where that is allowed",
    status_code=201,
    responses=problems(RegistrationDisabled, UsernameTaken, WeakPassword, TooManyAttempts),
)
async def register(body: Registration, accounts: AccountsDep, caller: CallerDep, resources: ResourcesDep) -> Me:
    if not resources.allow_registration:
        raise RegistrationDisabled("Accounts are made by an administrator here.")
    await resources.login.count_registration(body.username, caller)
    user = await accounts.register(body.username, body.password.get_secret_value())
    return Me.model_validate(user, from_attributes=True)


@router.get("/.well-known/jwks.json", summary="The public keys that tokens are checked with")
async def jwks(session: SessionDep, response: Response) -> Jwks:
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return Jwks.model_validate(keys.jwks(await repository.served_keys(session)))


@router.get("/me", summary="Who am I?", responses=problems(AccountGone))
async def me(person: LimitedPersonDep) -> Me:
    return Me.model_validate(person.user, from_attributes=True)


@router.put(
    "/me/password",
    summary="Change your password; every other session ends, and every API key if you ask for it",
    status_code=204,
    responses=problems(WrongPassword, SignInNeeded, WeakPassword, TooManyAttempts, LoginBusy),
)
async def change_password(
    body: PasswordChange,
    identity: Annotated[Identity, Depends(limited_identity)],
    caller: CallerDep,
    resources: ResourcesDep,
) -> None:
    if identity.is_api_key:
        raise SignInNeeded("An API key may not change the password. Sign in.")
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    await resources.login.change_password(identity, current, new, caller, revoke_api_keys=body.revoke_api_keys)


@router.get("/me/sessions", summary="Where you are logged in")
async def list_sessions(person: PersonDep, session: SessionDep) -> SessionList:
    running = await session_repository.running(session, person.user.id, SHOWN_SESSIONS)
    return SessionList.of(running, person.identity.session_id)


@router.delete(
    "/me/sessions/{session_id}",
    summary="End one of your sessions at once",
    status_code=204,
    responses=problems(SessionNotFound, SignInNeeded),
)
async def end_session(
    session_id: SessionId, person: SignedInDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> None:
    await resources.grants.end(session, person.user, session_id, caller, logout=False)


@router.delete(
    "/me/sessions", summary="End all your other sessions at once", status_code=204, responses=problems(SignInNeeded)
)
async def end_other_sessions(
    person: SignedInDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> None:
    await resources.grants.end_others(session, person.user, person.identity, caller)


@keys_router.post(
    "",
    summary="Make an API key; its text is shown only now",
    status_code=201,
    dependencies=[Depends(never_stored)],
    responses=problems(SignInNeeded, ScopeNotAllowed, TooManyApiKeys),
)
async def create_api_key(body: NewApiKey, person: SignedInDep, api_keys: ApiKeysDep) -> ApiKeyCreated:
    lifetime = None if body.expires_in_days is None else timedelta(days=body.expires_in_days)
    made = await api_keys.create(person.user, body.name, body.scopes, lifetime)
    return ApiKeyCreated.made(*made)


@keys_router.get("", summary="Your API keys")
async def list_api_keys(person: PersonDep, api_keys: ApiKeysDep) -> ApiKeyList:
    return ApiKeyList.of(await api_keys.of_user(person.user.id))


@keys_router.delete(
    "/{key_id}",
    summary="Revoke an API key at once",
    status_code=204,
    responses=problems(ApiKeyNotFound, SignInNeeded),
)
async def revoke_api_key(key_id: KeyId, person: SignedInDep, api_keys: ApiKeysDep) -> None:
    await api_keys.revoke(person.user, key_id)
