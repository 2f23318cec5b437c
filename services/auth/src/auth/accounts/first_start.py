"""The first start: create a signing key and an administrator, once for all replicas."""

import sys

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from auth.credentials import passwords
from auth.credentials.names import username_key
from auth.credentials.passwords import Passwords
from auth.keys.vault import Vault
from auth.repository import accounts, audit, keys
from auth.settings import Settings
from auth.tables import User

log = structlog.get_logger(__name__)


async def prepare(session: AsyncSession, settings: Settings, vault: Vault, hasher: Passwords) -> None:
    """Create the signing key and the first administrator if there is none.

    Raises SecretKeyMismatch if SECRET_KEY does not decrypt the stored keys.
    """
    await keys.lock_for_first_start(session)
    for row in await keys.served_keys(session):
        vault.open(row)
    if await keys.signing_key(session) is None:
        key = vault.generate()
        session.add(key)
        audit.record(session, "signing_key_created", details={"kid": key.kid})
    if await accounts.admin_exists(session):
        if settings.first_admin_password is not None:
            log.info("ADMIN_PASSWORD ignored, an administrator exists")
    else:
        await _create_admin(session, settings, hasher)


async def _create_admin(session: AsyncSession, settings: Settings, hasher: Passwords) -> None:
    given = settings.first_admin_password
    password = given.get_secret_value() if given else passwords.generate()
    username = settings.first_admin_username
    admin = User(
        username=username,
        username_key=username_key(username),
        role="admin",
        password_hash=await hasher.hash(password),
    )
    session.add(admin)
    await session.flush()
    audit.record(
        session,
        "first_admin_created",
        user=admin,
        details={"credential": "from settings" if given else "generated"},
    )
    if given is None:
        # Print before the commit: if the commit fails, the next start prints another password. After the commit, a
        # crash could leave an account whose password was never printed.
        announce(username, password)


def announce(username: str, password: str) -> None:
    """Print the generated password once, to standard output only: it never reaches a log."""
    lines = [
        "First start: an administrator account was created. Its password is printed only once.",
        "",
        f"    user name   {username}",
        f"    password    {password}",
    ]
    width = max(len(line) for line in lines)
    rule = "═" * (width + 2)
    box = [f"╔{rule}╗", *(f"║ {line:<{width}} ║" for line in lines), f"╚{rule}╝"]
    sys.stdout.write("\n" + "\n".join(box) + "\n\n")
    sys.stdout.flush()
