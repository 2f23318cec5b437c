"""What one auth process holds while it runs, and what its routes take from it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from common.web import AdminDep, Identity, IdentityDep, SessionDep, TokenVerifier, Unauthorized, bearer_token
from common.web.addresses import address_group, client_address
from common.web.identity import limited_identity

from . import accounts
from .accounts import Accounts
from .api_keys import ApiKeys
from .audit import Caller
from .bodies import logout_request
from .errors import SignInNeeded
from .grants import Grants
from .key_rotation import KeyRotation
from .login import Login
from .notices import Notices
from .passwords import Passwords
from .schemas import LogoutRequest
from .tables import User
from .tokens import API_KEY_PREFIX, TokenIssuer


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything the routes work with."""

    login: Login
    grants: Grants
    issuer: TokenIssuer
    hasher: Passwords
    notices: Notices
    rotation: KeyRotation
    allow_registration: bool


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is asking, checked against the database and not only by the token."""

    identity: Identity
    user: User


@dataclass(frozen=True, slots=True)
class Leaving:
    """What somebody who logs out shows: a verified access token, a refresh token, or both."""

    identity: Identity | None
    refresh_token: str | None


def of_request(request: Request) -> Resources:
    """The process's resources."""
    held: Resources = request.app.state.resources
    return held


def caller(request: Request) -> Caller:
    """Where the request comes from."""
    return Caller(address_group(client_address(request)), request.headers.get("user-agent"))


async def person(identity: IdentityDep, session: SessionDep) -> Person:
    """Whoever asks, with a session or an API key. Raises AccountGone or AccessEnded."""
    return Person(identity, await accounts.authentic(session, identity))


async def limited_person(identity: Annotated[Identity, Depends(limited_identity)], session: SessionDep) -> Person:
    """The same, even if the password must be changed first."""
    return Person(identity, await accounts.authentic(session, identity))


async def signed_in(person: Annotated[Person, Depends(person)]) -> Person:
    """Whoever asks in a session: an API key cannot make more of itself. Raises SignInNeeded."""
    if person.identity.is_api_key:
        raise SignInNeeded("An API key may not do that. Sign in with user name and password.")
    return person


async def leaving(request: Request, body: Annotated[LogoutRequest, Depends(logout_request)]) -> Leaving:
    """What shows which session is to end. Raises Unauthorized if nothing does, and SignInNeeded for an API key."""
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
        return Leaving(None, refresh_token)
    if refresh_token is None and (identity is None or identity.is_api_key or identity.session_id is None):
        raise SignInNeeded("There is no session to end: this is an API key. Revoke it instead.")
    return Leaving(identity, refresh_token)


async def administrator(identity: AdminDep, session: SessionDep) -> Identity:
    """An administrator, with a session or an API key of that scope."""
    await accounts.authentic(session, identity)
    return identity


def accounts_of_request(
    session: SessionDep,
    resources: Annotated[Resources, Depends(of_request)],
    caller: Annotated[Caller, Depends(caller)],
) -> Accounts:
    """Decisions about accounts inside this request's transaction."""
    return Accounts(session, hasher=resources.hasher, notices=resources.notices, caller=caller)


def api_keys_of_request(
    session: SessionDep,
    resources: Annotated[Resources, Depends(of_request)],
    caller: Annotated[Caller, Depends(caller)],
) -> ApiKeys:
    """Decisions about API keys inside this request's transaction."""
    return ApiKeys(session, issuer=resources.issuer, grants=resources.grants, notices=resources.notices, caller=caller)


AccountsDep = Annotated[Accounts, Depends(accounts_of_request, scope="function")]
ApiKeysDep = Annotated[ApiKeys, Depends(api_keys_of_request, scope="function")]
ResourcesDep = Annotated[Resources, Depends(of_request)]
CallerDep = Annotated[Caller, Depends(caller)]
PersonDep = Annotated[Person, Depends(person)]
LimitedPersonDep = Annotated[Person, Depends(limited_person)]
LeavingDep = Annotated[Leaving, Depends(leaving)]
SignedInDep = Annotated[Person, Depends(signed_in)]
AdministratorDep = Annotated[Identity, Depends(administrator)]
