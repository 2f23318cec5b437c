"""The object store with a cache of what this process has stored: the next work often needs it."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from common.settings import StorageSettings
from common.storage import ObjectStore, PutResult

_CACHE_BYTES: Final = 32 * 1024 * 1024


class CachingStore(ObjectStore):
    """Caches objects that were stored here; an object under a key of an attempt never changes."""

    def __init__(self, settings: StorageSettings, cache_bytes: int = _CACHE_BYTES) -> None:
        super().__init__(settings)
        self._free = cache_bytes
        self._cache: OrderedDict[str, bytes] = OrderedDict()

    async def put(
        self,
        key: str,
        data: bytes,
        content_type: str = "application/octet-stream",
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> PutResult:
        """Store an object and cache it."""
        result = await super().put(key, data, content_type, metadata=metadata)
        self._evict(key)
        self._cache[key] = data
        self._free -= len(data)
        while self._free < 0:
            self._evict(next(iter(self._cache)))
        return result

    async def get_cached(self, key: str) -> bytes:
        """Return an object from the cache or the store; checks of stored objects use `get`."""
        cached = self._cache.get(key)
        return await self.get(key) if cached is None else cached

    def _evict(self, key: str) -> None:
        if (data := self._cache.pop(key, None)) is not None:
            self._free += len(data)
