"""What the worker's GPU is doing, as the driver's own program tells it."""

import asyncio
import os
import time
from typing import Final

import structlog

from common.events import GpuUse

log = structlog.get_logger(__name__)

_FIELDS: Final = "name,memory.used,memory.total,utilization.gpu"
_EVERY_SECONDS: Final = 15.0
_PATIENCE_SECONDS: Final = 5.0
_MIB: Final = 1024 * 1024


class Gpu:
    """Asks nvidia-smi now and then; without it, or without an answer, nothing is known and nothing is invented."""

    def __init__(self, device: str = "") -> None:
        """`device` is the GPU's number or UUID; without one, the first that this process sees is its own."""
        self.latest: GpuUse | None = None
        self._device = device or os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip() or "0"
        self._asked = float("-inf")

    async def measure(self) -> None:
        """Ask again, if the last answer is old."""
        if time.monotonic() - self._asked < _EVERY_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                "nvidia-smi", f"--id={self._device}", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                output, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
            except BaseException:
                process.kill()
                await process.wait()
                raise
            self.latest = parsed(output.decode())
        except (OSError, TimeoutError, ValueError) as error:
            self.latest = None
            log.debug("the GPU's state is not known", error=f"{type(error).__name__}: {error}")


def parsed(line: str) -> GpuUse:
    """Read a line of nvidia-smi's; raises ValueError for anything else."""
    name, used, total, busy = (part.strip() for part in line.strip().rsplit(",", 3))
    return GpuUse(
        name=name,
        memory_used_bytes=int(used) * _MIB,
        memory_total_bytes=int(total) * _MIB,
        busy_percent=float(busy),
    )
