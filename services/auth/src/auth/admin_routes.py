"""HTTP into auth for admins: accounts, the audit trail, signing keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator

from common.web import SessionDep, problems

from . import audit, cursors, repository
from .accounts import Changes
from .admin_schemas import (
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
from .audit import Kind
from .errors import InvalidCursor, LastAdmin, RotationPending, UsernameTaken, UserNotFound, WeakPassword
from .names import storable
from .resources import AccountsDep, AdministratorDep, CallerDep, ResourcesDep
from .routes import never_stored

router = APIRouter(prefix="/admin", tags=["admin"])

UserId = Annotated[UUID, Path(description="The account's id.", examples=["0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77"])]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500, description="next_cursor of the page before.")]


@router.get("/users", summary="Accounts, by name", responses=problems(InvalidCursor))
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
    summary="Make an account; its password must be changed at the first login",
    status_code=201,
    dependencies=[Depends(never_stored)],
    responses=problems(UsernameTaken, WeakPassword),
)
async def create_user(body: NewUser, admin: AdministratorDep, accounts: AccountsDep) -> UserWithPassword:
    password = None if body.password is None else body.password.get_secret_value()
    made = await accounts.create(admin, body.username, body.role, password)
    return UserWithPassword.of(made[0], one_time_password=made[1])


@router.get("/users/{user_id}", summary="An account", responses=problems(UserNotFound))
async def get_user(user_id: UserId, _: AdministratorDep, accounts: AccountsDep) -> UserView:
    return UserView.of(await accounts.find(user_id))


@router.patch(
    "/users/{user_id}",
    summary="Change an account's role, disable or enable it; takes effect at once",
    description="Accounts are not deleted, as recordings and the audit trail refer to them: disable them.",
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
    summary="Replace a forgotten password by a one-time one; every session of the account ends",
    dependencies=[Depends(never_stored)],
    responses=problems(UserNotFound),
)
async def reset_password(user_id: UserId, admin: AdministratorDep, accounts: AccountsDep) -> UserWithPassword:
    user, one_time = await accounts.reset_password(admin, user_id)
    return UserWithPassword.of(user, one_time_password=one_time)


@router.get("/audit", summary="What happened to accounts, newest first", responses=problems(InvalidCursor))
async def list_audit(  # noqa: PLR0917 - FastAPI passes by name
    _: AdministratorDep,
    session: SessionDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: Kind | None = None,
    user_id: Annotated[UUID | None, Query(description="Lines about this account, or of what it did.")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> AuditPage:
    before = cursors.number(cursor)
    lines = await audit.trail(
        session, limit=limit + 1, before=before, kind=kind, user_id=user_id, since=since, until=until
    )
    return AuditPage.of(lines, limit)


@router.get("/keys", summary="The signing keys in service")
async def list_keys(_: AdministratorDep, session: SessionDep) -> SigningKeyList:
    return SigningKeyList.of(await repository.served_keys(session))


@router.post(
    "/keys/rotate",
    summary="Announce a new signing key; it signs in a few minutes, and nobody is logged out",
    status_code=201,
    responses=problems(RotationPending),
)
async def rotate_keys(
    admin: AdministratorDep, session: SessionDep, caller: CallerDep, resources: ResourcesDep
) -> SigningKeyView:
    return SigningKeyView.model_validate(await resources.rotation.rotate(session, caller, admin), from_attributes=True)
