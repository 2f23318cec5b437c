"""Public operations: login, logout, the user's own account, its sessions and API keys."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response

from auth.errors import (
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
from auth.keys import vault
from auth.repository import api_keys as rows
from auth.repository import keys, sessions
from auth.schemas.public import (
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
from common.web import Identity, SessionDep, Unauthorized, problems
from common.web.identity import limited_identity

from .bodies import LOGOUT_BODY, REFRESH_BODY, refresh_request
from .dependencies import (
    SHOWN_SESSIONS,
    AccountsDep,
    ApiKeysDep,
    CallerDep,
    KeyId,
    LimitedPersonDep,
    LogoutDep,
    PersonDep,
    ResourcesDep,
    SessionId,
    SignedInDep,
    never_stored,
)

router = APIRouter(tags=["auth"])
keys_router = APIRouter(prefix="/api-keys", tags=["api keys"])

JWKS_CACHE_SECONDS = 300


@router.post(
    "/token",
    summary="Log in with user name and password, or refresh",
    dependencies=[Depends(never_stored)],
    responses=problems(InvalidCredentials, InvalidRefreshToken, TooManyAttempts, LoginBusy),
)
async def token(form: Annotated[TokenForm, Form()], caller: CallerDep, resources: ResourcesDep) -> Token:
    if form.refresh_token is not None and form.grant_type == "refresh_token":
        return Token.of(await resources.grants.refresh(form.refresh_token.get_secret_value(), caller))
    assert form.username is not None  # TokenForm checks it
    assert form.password is not None
    return Token.of(await resources.login.log_in(form.username, form.password.get_secret_value(), caller))


@router.post(
    "/token/refresh",
    summary="Exchange a refresh token, which is valid once, for a new pair of tokens",
    description="The second use of a refresh token ends its session, because the token may have been stolen.",
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
    summary="End the session of the access token, of the refresh token in the body, or of both",
    description="The session's tokens are revoked at once. It is no error if the session has ended already, or if the "
    "access token has expired and a refresh token is sent.",
    status_code=204,
    responses=problems(Unauthorized, SignInNeeded),
    openapi_extra=LOGOUT_BODY,
)
async def logout(ended: LogoutDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep) -> None:
    await resources.grants.log_out(session, ended.identity, ended.refresh_token, caller)


@router.post(
    "/register",
    summary="Register an account, if ALLOW_REGISTRATION is on",
    status_code=201,
    responses=problems(RegistrationDisabled, UsernameTaken, WeakPassword, TooManyAttempts),
)
async def register(body: Registration, accounts: AccountsDep, caller: CallerDep, resources: ResourcesDep) -> Me:
    if not resources.allow_registration:
        raise RegistrationDisabled("Registration is disabled. Ask an administrator to create an account.")
    await resources.login.count_registration(body.username, caller)
    user = await accounts.register(body.username, body.password.get_secret_value())
    return Me.model_validate(user, from_attributes=True)


@router.get("/.well-known/jwks.json", summary="The public keys for the verification of access tokens")
async def jwks(session: SessionDep, response: Response) -> Jwks:
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return Jwks.model_validate(vault.jwks(await keys.served_keys(session)))


@router.get("/me", summary="Read your account", responses=problems(AccountGone))
async def me(person: LimitedPersonDep) -> Me:
    return Me.model_validate(person.user, from_attributes=True)


@router.put(
    "/me/password",
    summary="Change your password; ends every other session, and on request revokes every API key",
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
        raise SignInNeeded("An API key does not permit a change of the password. Sign in with user name and password.")
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    await resources.login.change_password(identity, current, new, caller, revoke_api_keys=body.revoke_api_keys)


@router.get("/me/sessions", summary="List your sessions")
async def list_sessions(person: PersonDep, session: SessionDep) -> SessionList:
    running = await sessions.running(session, person.user.id, SHOWN_SESSIONS)
    return SessionList.of(running, person.identity.session_id)


@router.delete(
    "/me/sessions/{session_id}",
    summary="End one of your sessions",
    status_code=204,
    responses=problems(SessionNotFound, SignInNeeded),
)
async def end_session(
    session_id: SessionId, person: SignedInDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> None:
    await resources.grants.end(session, person.user, session_id, caller, logout=False)


@router.delete("/me/sessions", summary="End all your other sessions", status_code=204, responses=problems(SignInNeeded))
async def end_other_sessions(
    person: SignedInDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> None:
    await resources.grants.end_others(session, person.user, person.identity, caller)


@keys_router.post(
    "",
    summary="Create an API key; its text is shown only in this response",
    status_code=201,
    dependencies=[Depends(never_stored)],
    responses=problems(SignInNeeded, ScopeNotAllowed, TooManyApiKeys),
)
async def create_api_key(body: NewApiKey, person: SignedInDep, api_keys: ApiKeysDep) -> ApiKeyCreated:
    lifetime = None if body.expires_in_days is None else timedelta(days=body.expires_in_days)
    made = await api_keys.create(person.user, body.name, body.scopes, lifetime)
    return ApiKeyCreated.made(*made)


@keys_router.get("", summary="List your API keys")
async def list_api_keys(person: PersonDep, session: SessionDep) -> ApiKeyList:
    return ApiKeyList.of(await rows.of_user(session, person.user.id))


@keys_router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    status_code=204,
    responses=problems(ApiKeyNotFound, SignInNeeded),
)
async def revoke_api_key(key_id: KeyId, person: SignedInDep, api_keys: ApiKeysDep) -> None:
    await api_keys.revoke(person.user, key_id)
