"""What must exist inside the backing services before the platform's own services start: roles, schemas, the bucket."""

from collections.abc import Sequence

import asyncpg

from common.settings import StorageSettings
from common.storage import ObjectStore

from . import postgres
from .programs import Step
from .state import StateFolder

DATABASE = "verbatim"


def role_password(state: StateFolder, role: str) -> str:
    """The generated password of a service's role."""
    return state.secret(f"postgres_{role}")


def database_step(state: StateFolder, port: int, roles: Sequence[str]) -> Step:
    """A step that makes the database with a role and a schema for each service; safe to repeat."""

    async def provision() -> None:
        admin = await asyncpg.connect(postgres.admin_url(state, port))
        try:
            await postgres.create_database(admin, DATABASE)
        finally:
            await admin.close()
        admin = await asyncpg.connect(postgres.admin_url(state, port, DATABASE))
        try:
            for role in roles:
                await postgres.create_service(admin, DATABASE, role, role_password(state, role))
        finally:
            await admin.close()

    return provision


def bucket_step(settings: StorageSettings) -> Step:
    """A step that makes the bucket; safe to repeat."""

    async def provision() -> None:
        store = ObjectStore(settings)
        try:
            await store.ensure_bucket()
        finally:
            await store.close()

    return provision
