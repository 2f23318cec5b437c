"""`serve --devices auto`: one transcriber for each GPU, started again when it dies, told to stop when we are."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from common.web.server import EXIT_RESTART, EXIT_SHUTDOWN

log = structlog.get_logger(__name__)

COMMAND: Final = (sys.executable, "-m", "transcriber", "serve")
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_STEADY_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 60.0  # for a transcriber to hand its work back, above its own patience
_DRIVER: Final = Path("/proc/driver/nvidia/gpus")


def gpus(wanted: str, *, driver: Path = _DRIVER) -> list[str]:
    """Return the GPUs that a `--devices` names: `auto` (every one we may see; none on a machine without), or `0,2`."""
    if wanted != "auto":
        return [name.strip() for name in wanted.split(",") if name.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return [str(number) for number in range(len(list(driver.iterdir())))] if driver.is_dir() else []


def environments(devices: Sequence[str], environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return each transcriber's environment: its GPU, its own ports, and its own name where one was given."""
    found = []
    for number, device in enumerate(devices):
        own = {"GPU_DEVICE": device, "DEVICE": "cuda"}
        for port in ("PORT", "METRICS_PORT"):
            first = int(environment.get(port) or 0)
            if first:
                own[port] = str(first + number)
        if environment.get("INSTANCE"):
            own["INSTANCE"] = f"{environment['INSTANCE']}-gpu{device}"
        found.append({**environment, **own})
    return found


class Supervisor:
    """Keeps one process running for each environment until told to stop."""

    def __init__(
        self, places: Sequence[Mapping[str, str]], *, command: Sequence[str] = COMMAND, pause: float = _FIRST_PAUSE
    ) -> None:
        self._places = [dict(place) for place in places]
        self._command = command
        self._pause = pause
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Return once every process has ended: by our SIGTERM or SIGINT, or each because it was told to stay down."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            await asyncio.gather(*(self._keep(place) for place in self._places))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Have every process hand its work back and end."""
        self._stopping.set()

    async def _keep(self, place: dict[str, str]) -> None:
        device, pause = place.get("GPU_DEVICE"), self._pause
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._once(place)
            if self._stopping.is_set() or status == EXIT_SHUTDOWN:
                return
            steady = time.monotonic() - began >= _STEADY_SECONDS
            pause = self._pause if steady or status == EXIT_RESTART else pause
            log.warning("a transcriber ended and is started again", gpu=device, status=status, pause_seconds=pause)
            await self._wait(asyncio.ensure_future(asyncio.sleep(pause)))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(self, place: dict[str, str]) -> int:
        process = await asyncio.create_subprocess_exec(*self._command, env=place, stdin=asyncio.subprocess.DEVNULL)
        log.info("transcriber started", gpu=place.get("GPU_DEVICE"), worker_pid=process.pid)
        ended = asyncio.ensure_future(process.wait())
        await self._wait(ended)
        if not ended.done():
            process.terminate()
            try:
                await asyncio.wait_for(asyncio.shield(ended), _PATIENCE_SECONDS)
            except TimeoutError:
                process.kill()
        return await ended

    async def _wait(self, something: "asyncio.Future[int] | asyncio.Future[None]") -> None:
        """Wait for something, but no longer than until we are told to stop."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([something, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
