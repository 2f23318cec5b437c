"""The usage of the worker's GPU, as nvidia-smi reports it."""

import asyncio
import os
import time
from typing import Final

import structlog

from common.events import GpuUse

log = structlog.get_logger(__name__)

_FIELDS: Final = "name,memory.used,memory.total,utilization.gpu"
_INTERVAL_SECONDS: Final = 15.0
_TIMEOUT_SECONDS: Final = 5.0
_MIB: Final = 1024 * 1024


class Gpu:
    """Reads nvidia-smi every 15 seconds; `latest` is None if it is missing or fails."""

    def __init__(self, device: str = "") -> None:
        """`device` is the GPU's number or UUID; by default the first visible one."""
        self.latest: GpuUse | None = None
        self._device = device or os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip() or "0"
        self._read_at = float("-inf")

    async def measure(self) -> None:
        """Read the usage again if the last reading is old."""
        if time.monotonic() - self._read_at < _INTERVAL_SECONDS:
            return
        self._read_at = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                "nvidia-smi", f"--id={self._device}", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
            except BaseException:
                process.kill()
                await process.wait()
                raise
            self.latest = parsed(output.decode())
        except (OSError, TimeoutError, ValueError) as error:
            self.latest = None
            log.debug("GPU usage unknown", error=f"{type(error).__name__}: {error}")


def parsed(line: str) -> GpuUse:
    """Parse a line of nvidia-smi; raises ValueError for any other text."""
    name, used, total, busy = (part.strip() for part in line.strip().rsplit(",", 3))
    return GpuUse(
        name=name,
        memory_used_bytes=int(used) * _MIB,
        memory_total_bytes=int(total) * _MIB,
        busy_percent=float(busy),
    )
