"""Dependencies of the routes: the process's resources, the caller and the verified account."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request, Response

from auth.access.api_keys import ApiKeys
from auth.access.grants import Grants
from auth.access.notices import Notices
from auth.access.tokens import API_KEY_PREFIX, TokenIssuer
from auth.accounts import management
from auth.accounts.login import Login
from auth.accounts.management import Accounts
from auth.credentials.passwords import Passwords
from auth.errors import SignInNeeded
from auth.keys.rotation import KeyRotation
from auth.repository.audit import Caller
from auth.schemas.public import LogoutRequest
from auth.tables import User
from common.web import AdminDep, Identity, IdentityDep, SessionDep, TokenVerifier, Unauthorized, bearer_token
from common.web.addresses import address_group, client_address
from common.web.identity import limited_identity

from .bodies import logout_request

SHOWN_SESSIONS = 200

SessionId = Annotated[UUID, Path(description="The session's id.", examples=["2f0c2c52-0d2b-4b7e-8c0b-9d1d5f0b8a11"])]
KeyId = Annotated[UUID, Path(description="The key's id.", examples=["7c1a52f4-8b1f-4a0a-9a39-3f6f0d2a55c1"])]


@dataclass(frozen=True, slots=True)
class Resources:
    """The objects of the process that routes use."""

    login: Login
    grants: Grants
    issuer: TokenIssuer
    hasher: Passwords
    notices: Notices
    rotation: KeyRotation
    allow_registration: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A verified identity and its account in the database."""

    identity: Identity
    user: User


@dataclass(frozen=True, slots=True)
class Logout:
    """The credentials of a logout: a verified access token, a refresh token, or both."""

    identity: Identity | None
    refresh_token: str | None


def never_stored(response: Response) -> None:
    """Forbid caches to store a response that contains secrets."""
    response.headers["Cache-Control"] = "no-store"


def of_request(request: Request) -> Resources:
    """The resources of the process."""
    resources: Resources = request.app.state.resources
    return resources


def caller(request: Request) -> Caller:
    """Address and user agent of the request."""
    return Caller(address_group(client_address(request)), request.headers.get("user-agent"))


async def person(identity: IdentityDep, session: SessionDep) -> Person:
    """The account of a session or an API key; raises AccountGone or AccessEnded."""
    return Person(identity, await management.authentic(session, identity))


async def limited_person(identity: Annotated[Identity, Depends(limited_identity)], session: SessionDep) -> Person:
    """The same, also if the password must be changed first."""
    return Person(identity, await management.authentic(session, identity))


async def signed_in(person: Annotated[Person, Depends(person)]) -> Person:
    """The account of a session; raises SignInNeeded for an API key."""
    if person.identity.is_api_key:
        raise SignInNeeded("An API key does not permit this operation. Sign in with user name and password.")
    return person


async def logout(request: Request, body: Annotated[LogoutRequest, Depends(logout_request)]) -> Logout:
    """The credentials of the session to end; raises Unauthorized without any, SignInNeeded for an API key."""
    refresh_token = body.refresh_token.get_secret_value() if body.refresh_token else None
    token = bearer_token(request.headers.get("authorization"))
    if token is None and refresh_token is None:
        raise Unauthorized("Send the session's access token, or its refresh token in the body.")
    verifier: TokenVerifier = request.app.state.verifier
    try:
        identity = await verifier.verify(token, None) if token and not token.startswith(API_KEY_PREFIX) else None
    except Unauthorized:
        if refresh_token is None:
            raise
        return Logout(None, refresh_token)
    if refresh_token is None and (identity is None or identity.is_api_key or identity.session_id is None):
        raise SignInNeeded("An API key has no session to end. Revoke the key instead.")
    return Logout(identity, refresh_token)


async def administrator(identity: AdminDep, session: SessionDep) -> Identity:
    """An administrator with a session or an API key with the scope admin."""
    await management.authentic(session, identity)
    return identity


def accounts_of_request(
    session: SessionDep,
    resources: Annotated[Resources, Depends(of_request)],
    caller: Annotated[Caller, Depends(caller)],
) -> Accounts:
    """Decisions about accounts in the transaction of this request."""
    return Accounts(session, hasher=resources.hasher, notices=resources.notices, caller=caller)


def api_keys_of_request(
    session: SessionDep,
    resources: Annotated[Resources, Depends(of_request)],
    caller: Annotated[Caller, Depends(caller)],
) -> ApiKeys:
    """Decisions about API keys in the transaction of this request."""
    return ApiKeys(session, issuer=resources.issuer, grants=resources.grants, notices=resources.notices, caller=caller)


AccountsDep = Annotated[Accounts, Depends(accounts_of_request, scope="function")]
ApiKeysDep = Annotated[ApiKeys, Depends(api_keys_of_request, scope="function")]
ResourcesDep = Annotated[Resources, Depends(of_request)]
CallerDep = Annotated[Caller, Depends(caller)]
PersonDep = Annotated[Person, Depends(person)]
LimitedPersonDep = Annotated[Person, Depends(limited_person)]
LogoutDep = Annotated[Logout, Depends(logout)]
SignedInDep = Annotated[Person, Depends(signed_in)]
AdministratorDep = Annotated[Identity, Depends(administrator)]
