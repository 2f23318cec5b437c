"""What the first start makes: a signing key and an admin; safe when several replicas start at once."""

import sys

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from . import audit, passwords, repository
from .keys import Vault
from .names import username_key
from .passwords import Passwords
from .settings import Settings
from .tables import User

log = structlog.get_logger(__name__)


async def prepare(session: AsyncSession, settings: Settings, vault: Vault, hasher: Passwords) -> None:
    """Make the signing key and the first admin if there is none; raises SecretKeyMismatch if the keys stay shut."""
    await repository.lock_for_first_start(session)
    for row in await repository.served_keys(session):
        vault.open(row)
    if await repository.signing_key(session) is None:
        key = vault.generate()
        session.add(key)
        audit.record(session, "signing_key_created", details={"kid": key.kid})
    if await repository.admin_exists(session):
        if settings.first_admin_password is not None:
            log.info("an admin exists already: ADMIN_PASSWORD is not used")
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
        # Shown before the commit: if that fails, the next start shows another one. The other way round,
        # a crash in between would leave an account that nobody can enter.
        announce(username, password)


def announce(username: str, password: str) -> None:
    """Print the generated password once, on stdout only: not in the log, its files or the bus."""
    lines = [
        "First start: an admin account was made. Its password is shown only here and only now.",
        "",
        f"    user name   {username}",
        f"    password    {password}",
    ]
    width = max(len(line) for line in lines)
    rule = "═" * (width + 2)
    box = [f"╔{rule}╗", *(f"║ {line:<{width}} ║" for line in lines), f"╚{rule}╝"]
    sys.stdout.write("\n" + "\n".join(box) + "\n\n")
    sys.stdout.flush()
