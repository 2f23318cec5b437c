"""Administrative operations: accounts, the audit trail, signing keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator

from auth.accounts import management
from auth.accounts.management import Changes
from auth.accounts.removal import Removal
from auth.credentials.names import storable
from auth.errors import (
    ApiKeyNotFound,
    LastAdmin,
    OwnAccount,
    RotationPending,
    SessionNotFound,
    UsernameTaken,
    UserNotFound,
    WeakPassword,
)
from auth.repository import api_keys as rows
from auth.repository import audit, keys, sessions
from auth.repository.audit import Kind
from auth.schemas import cursors
from auth.schemas.admin import (
    AuditPage,
    Moment,
    NewUser,
    SigningKeyList,
    SigningKeyView,
    UserChanges,
    UserPage,
    UserView,
    UserWithPassword,
)
from auth.schemas.public import ApiKeyList, SessionList
from common.web import SessionDep, problems
from common.web.cursors import InvalidCursor

from .dependencies import (
    SHOWN_SESSIONS,
    AccountsDep,
    AdministratorDep,
    ApiKeysDep,
    CallerDep,
    KeyId,
    ResourcesDep,
    SessionId,
    never_stored,
)

router = APIRouter(prefix="/admin", tags=["admin"])

UserId = Annotated[UUID, Path(description="The account's id.", examples=["0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77"])]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500, description="next_cursor of the previous page.")]


@router.get("/users", summary="List accounts by name", responses=problems(InvalidCursor))
async def list_users(
    _: AdministratorDep,
    accounts: AccountsDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Annotated[
        Annotated[str, AfterValidator(storable)] | None, Query(max_length=150, description="Part of the name.")
    ] = None,
) -> UserPage:
    return UserPage.of(await accounts.page(limit=limit + 1, after=cursors.name(cursor), search=search), limit)


@router.post(
    "/users",
    summary="Create an account; its password must be changed at the first login",
    status_code=201,
    dependencies=[Depends(never_stored)],
    responses=problems(UsernameTaken, WeakPassword),
)
async def create_user(body: NewUser, admin: AdministratorDep, accounts: AccountsDep) -> UserWithPassword:
    password = None if body.password is None else body.password.get_secret_value()
    made = await accounts.create(admin, body.username, body.role, password)
    return UserWithPassword.of(made[0], one_time_password=made[1])


@router.get("/users/{user_id}", summary="Read an account", responses=problems(UserNotFound))
async def get_user(user_id: UserId, _: AdministratorDep, session: SessionDep) -> UserView:
    return UserView.of(await management.existing(session, user_id))


@router.patch(
    "/users/{user_id}",
    summary="Change an account's role, disable or enable it; takes effect at once",
    responses=problems(UserNotFound, LastAdmin),
)
async def change_user(
    user_id: UserId,
    body: UserChanges,
    admin: AdministratorDep,
    accounts: AccountsDep,
) -> UserView:
    changes = Changes(role=body.role, disabled=body.disabled)
    return UserView.of(await accounts.change(admin, user_id, changes))


@router.post(
    "/users/{user_id}/reset-password",
    summary="Replace a forgotten password by a one-time password; ends every session, revokes every API key",
    dependencies=[Depends(never_stored)],
    responses=problems(UserNotFound),
)
async def reset_password(user_id: UserId, admin: AdministratorDep, accounts: AccountsDep) -> UserWithPassword:
    user, one_time = await accounts.reset_password(admin, user_id)
    return UserWithPassword.of(user, one_time_password=one_time)


@router.delete(
    "/users/{user_id}",
    summary="Delete an account with all its jobs, permanently",
    description="Its sessions, tokens and API keys end at once; its jobs, recordings and transcripts are deleted soon "
    "after. The audit trail keeps its records until they expire. To block a user temporarily, disable the account.",
    status_code=204,
    responses=problems(UserNotFound, LastAdmin, OwnAccount),
)
async def delete_user(
    user_id: UserId, admin: AdministratorDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> None:
    await Removal(session, resources.notices).delete(admin, user_id, caller)


@router.get("/users/{user_id}/sessions", summary="List the sessions of an account", responses=problems(UserNotFound))
async def list_sessions_of_user(user_id: UserId, admin: AdministratorDep, session: SessionDep) -> SessionList:
    user = await management.existing(session, user_id)
    return SessionList.of(await sessions.running(session, user.id, SHOWN_SESSIONS), admin.session_id)


@router.delete(
    "/users/{user_id}/sessions/{session_id}",
    summary="End a session of an account",
    status_code=204,
    responses=problems(UserNotFound, SessionNotFound),
)
async def end_session_of_user(  # noqa: PLR0917 - FastAPI passes by name
    user_id: UserId,
    session_id: SessionId,
    admin: AdministratorDep,
    session: SessionDep,
    caller: CallerDep,
    resources: ResourcesDep,
) -> None:
    user = await management.existing(session, user_id)
    await resources.grants.end(session, user, session_id, caller, logout=False, actor=admin)


@router.get("/users/{user_id}/api-keys", summary="List the API keys of an account", responses=problems(UserNotFound))
async def list_api_keys_of_user(user_id: UserId, _: AdministratorDep, session: SessionDep) -> ApiKeyList:
    user = await management.existing(session, user_id)
    return ApiKeyList.of(await rows.of_user(session, user.id))


@router.delete(
    "/users/{user_id}/api-keys/{key_id}",
    summary="Revoke an API key of an account",
    status_code=204,
    responses=problems(UserNotFound, ApiKeyNotFound),
)
async def revoke_api_key_of_user(
    user_id: UserId, key_id: KeyId, admin: AdministratorDep, session: SessionDep, api_keys: ApiKeysDep
) -> None:
    await api_keys.revoke(await management.existing(session, user_id), key_id, admin)


@router.get("/audit", summary="List the audit trail, newest first", responses=problems(InvalidCursor))
async def list_audit(  # noqa: PLR0917 - FastAPI passes by name
    _: AdministratorDep,
    session: SessionDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: Kind | None = None,
    user_id: Annotated[UUID | None, Query(description="Records about this account or of its actions.")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> AuditPage:
    before = cursors.number(cursor)
    records = await audit.trail(
        session, limit=limit + 1, before=before, kind=kind, user_id=user_id, since=since, until=until
    )
    return AuditPage.of(records, limit)


@router.get("/keys", summary="List the signing keys that are served")
async def list_keys(_: AdministratorDep, session: SessionDep) -> SigningKeyList:
    return SigningKeyList.of(await keys.served_keys(session))


@router.post(
    "/keys/rotate",
    summary="Add a new signing key; it signs after a few minutes, and sessions continue",
    status_code=201,
    responses=problems(RotationPending),
)
async def rotate_keys(
    admin: AdministratorDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> SigningKeyView:
    return SigningKeyView.model_validate(await resources.rotation.rotate(session, caller, admin), from_attributes=True)
