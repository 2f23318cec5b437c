"""HTTP into auth."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response

from common.web.addresses import address_group, client_address
from common.web.identity import IdentityDep
from common.web.transaction import SessionDep

from . import keys, repository
from .errors import AccountGone
from .login import Login
from .schemas import Jwks, LoginForm, Me, Token

router = APIRouter(tags=["auth"])

JWKS_CACHE_SECONDS = 300


def login(request: Request) -> Login:
    """The process's one Login."""
    made: Login = request.app.state.login
    return made


@router.post("/token", summary="Log in with user name and password")
async def token(
    form: Annotated[LoginForm, Form()], request: Request, response: Response, login: Annotated[Login, Depends(login)]
) -> Token:
    address = address_group(client_address(request))
    issued = await login.log_in(form.username, form.password.get_secret_value(), address)
    response.headers["Cache-Control"] = "no-store"
    return Token(access_token=issued, expires_in=login.token_seconds)


@router.get("/.well-known/jwks.json", summary="The public keys that tokens are checked with")
async def jwks(session: SessionDep, response: Response) -> Jwks:
    response.headers["Cache-Control"] = f"public, max-age={JWKS_CACHE_SECONDS}"
    return Jwks.model_validate(keys.jwks(await repository.served_keys(session)))


@router.get("/me", summary="Who am I?")
async def me(identity: IdentityDep, session: SessionDep) -> Me:
    user = await repository.active_user(session, identity.user_id)
    if user is None:
        raise AccountGone("This account was removed or disabled.")
    return Me.model_validate(user, from_attributes=True)
