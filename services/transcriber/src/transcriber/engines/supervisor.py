"""`serve --devices auto`: run one transcriber for each GPU, restart it when it ends, stop it on SIGTERM."""

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
_STABLE_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0  # for a transcriber to requeue its work; more than its own drain time
_DRIVER: Final = Path("/proc/driver/nvidia/gpus")


def gpus(wanted: str, *, driver: Path = _DRIVER) -> list[str]:
    """Return the GPUs of a `--devices` value: `auto` (every visible GPU, possibly none) or numbers: `0,2`."""
    if wanted != "auto":
        return [name.strip() for name in wanted.split(",") if name.strip()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return [str(number) for number in range(len(list(driver.iterdir())))] if driver.is_dir() else []


def environments(devices: Sequence[str], environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the environment of each transcriber: its GPU, its ports, and its name if INSTANCE is set."""
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
    """Keeps one process running for each environment until it is stopped."""

    def __init__(
        self,
        environments: Sequence[Mapping[str, str]],
        *,
        command: Sequence[str] = COMMAND,
        pause: float = _FIRST_PAUSE,
    ) -> None:
        self._environments = [dict(environment) for environment in environments]
        self._command = command
        self._pause = pause
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Return when every process has ended: after SIGTERM or SIGINT, or with the status for no restart."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            await asyncio.gather(*(self._keep(environment) for environment in self._environments))
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Have every process requeue its work and end."""
        self._stopping.set()

    async def _keep(self, environment: dict[str, str]) -> None:
        device, pause = environment.get("GPU_DEVICE"), self._pause
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._once(environment)
            if self._stopping.is_set() or status == EXIT_SHUTDOWN:
                return
            stable = time.monotonic() - began >= _STABLE_SECONDS
            pause = self._pause if stable or status == EXIT_RESTART else pause
            log.warning("transcriber ended, restarting", gpu=device, status=status, pause_seconds=pause)
            await self._wait(asyncio.ensure_future(asyncio.sleep(pause)))
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(self, environment: dict[str, str]) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command, env=environment, stdin=asyncio.subprocess.DEVNULL
        )
        log.info("transcriber started", gpu=environment.get("GPU_DEVICE"), worker_pid=process.pid)
        ended = asyncio.ensure_future(process.wait())
        await self._wait(ended)
        if not ended.done():
            process.terminate()
            try:
                await asyncio.wait_for(asyncio.shield(ended), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
        return await ended

    async def _wait(self, future: "asyncio.Future[int] | asyncio.Future[None]") -> None:
        """Wait for a future, but no longer than until `stop`."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([future, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
