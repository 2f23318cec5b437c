"""The object store, with what this process has just stored still in memory: it is often the next to want it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from common.settings import StorageSettings
from common.storage import ObjectStore, PutResult

_REMEMBERED_BYTES: Final = 32 * 1024 * 1024


class RecentStore(ObjectStore):
    """Keeps small objects that were put here; what is under a key of an attempt never changes, so none gets stale."""

    def __init__(self, settings: StorageSettings, remembered_bytes: int = _REMEMBERED_BYTES) -> None:
        super().__init__(settings)
        self._room = remembered_bytes
        self._recent: OrderedDict[str, bytes] = OrderedDict()

    async def put(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> PutResult:
        """Store an object, and remember it."""
        result = await super().put(key, data, content_type, metadata=metadata)
        self._forget(key)
        self._recent[key] = data
        self._room -= len(data)
        while self._room < 0:
            self._forget(next(iter(self._recent)))
        return result

    async def recall(self, key: str) -> bytes:
        """Return an object from memory, or as `get` does: for work that goes on, not for checks of what is stored."""
        remembered = self._recent.get(key)
        return await self.get(key) if remembered is None else remembered

    def _forget(self, key: str) -> None:
        if (data := self._recent.pop(key, None)) is not None:
            self._room += len(data)
