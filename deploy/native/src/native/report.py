"""The summary of a fleet after its start, and the status table."""

import asyncio
import time
from typing import Any

from .console import aligned
from .fleet import GATEWAY, credentials
from .readiness import failing_checks
from .settings import NativeSettings
from .state import CREDENTIALS, RESTORED, StateFolder
from .supervisor import Phase

_SETTLED = {Phase.READY, Phase.DONE}


def is_up(state: StateFolder, supervisor: int) -> bool:
    """Whether that supervisor has published that every row is ready."""
    stored = state.published()
    programs = stored.get("programs", [])
    return (
        stored.get("supervisor") == supervisor and all(row["phase"] in _SETTLED for row in programs) and bool(programs)
    )


def gateway_url(state: StateFolder) -> str:
    """The public address of the running fleet."""
    ports = {row["name"]: row["ports"] for row in state.published().get("programs", [])}
    return f"http://127.0.0.1:{ports[GATEWAY]['http']}"


def summary(state: StateFolder, settings: NativeSettings, seconds: float | None = None) -> str:
    """The addresses and the account, once everything is ready."""
    url = gateway_url(state)
    user, _ = credentials(state, settings)
    page = (
        f"{url}/app/" if (settings.web_dir / "index.html").is_file() else "not built (needs Node.js 20; `make setup`)"
    )
    rows = [
        ["web page", page],
        ["API", f"{url}/openapi.json"],
        ["user", user],
        ["password", _password(state)],
        ["logs", f"{state.logs}/<program>.log"],
        ["stop", "`make down`" if seconds is None else "Ctrl-C here, or `make down` anywhere"],
    ]
    took = "" if seconds is None else f" after {seconds:.1f} s"
    return f"Verbatim is ready{took}.\n\n{aligned(rows)}"


def _password(state: StateFolder) -> str:
    if state.read(RESTORED):
        return "that of the system which was backed up"
    return f"admin_password in {state.path / CREDENTIALS}"


async def status(state: StateFolder, settings: NativeSettings) -> int:
    """Print the table of programs; exit code 0: all are healthy, 1: some are not, 3: nothing runs."""
    if state.holder() is None:
        print("Nothing is running: `make up` starts it.")
        return 3
    programs = state.published().get("programs", [])
    health = await asyncio.gather(*(_health(row) for row in programs))
    rows = [["program", "state", "health", "pid", "restarts", "since", "address"]]
    rows += [_row(row, result) for row, result in zip(programs, health, strict=True)]
    print(aligned(rows, indent=""))
    if not all(row["phase"] in _SETTLED for row in programs) or not set(health) <= {"ok", ""}:
        print("\nNot every program is healthy: `python -m native logs NAME` shows the output of a program.")
        return 1
    print(f"\n{summary(state, settings)}")
    return 0


async def _health(row: dict[str, Any]) -> str:
    """The readiness that a service reports; empty for backing services."""
    port = row["ports"].get("http")
    if port is None or row["phase"] != Phase.READY:
        return ""
    return await failing_checks(f"http://127.0.0.1:{port}/health/ready") or "ok"


def _row(row: dict[str, Any], health: str) -> list[str]:
    main_port = next(
        (row["ports"][purpose] for purpose in ("http", "sql", "amqp", "s3") if purpose in row["ports"]), None
    )
    address = "" if main_port is None else f"127.0.0.1:{main_port}"
    since = _duration(time.time() - row["started_at"]) if row["pid"] else ""
    return [row["name"], row["phase"], health, str(row["pid"] or ""), str(row["restarts"] or ""), since, address]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
