"""Further processes of a running fleet's services, under other circumstances than the fleet's own."""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from common.testing import eventually
from native.fleet import table
from native.programs import spawn
from native.readiness import http_ok
from native.state import free_port

from .chaos import IMPATIENT, Platform
from .fleets import PATIENT


@contextlib.asynccontextmanager
async def replica(
    platform: Platform, row: str, log: Path, variables: Mapping[str, str], *, ready: bool = True
) -> AsyncIterator[str]:
    """One more process of a row's service, with these variables on top; yields its base URL, once it is ready."""
    fleet = platform.fleet
    program = next(each for each in table(fleet.state, fleet.settings) if each.name == row)
    service, port = row.partition("-")[0], free_port()
    env = {
        **program.env,
        **PATIENT.get(service, {}),
        **IMPATIENT["*"],
        **IMPATIENT.get(service, {}),
        "INSTANCE": f"{row}-replica",
        "LOG_DIR": "",
        "PORT": str(port),
        "METRICS_PORT": "0",
        **variables,
    }
    with log.open("wb") as output:
        process = await spawn(dataclasses.replace(program, env=env), output)
    answers = http_ok(f"http://127.0.0.1:{port}/health/{'ready' if ready else 'live'}")

    async def well() -> bool:
        assert process.returncode is None, f"{row} ended, see {log}"
        return await answers()

    try:
        await eventually(well, what=f"a further {row} answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 60)
