"""Recently stored objects are read from the cache within its size, and checks read the store."""

import pytest

from common.settings import StorageSettings
from common.storage import ObjectMissing
from transcriber.work.store import CachingStore

pytestmark = pytest.mark.integration


async def test_the_latest_objects_are_read_from_the_cache(storage_settings: StorageSettings) -> None:
    store = CachingStore(storage_settings, cache_bytes=10)
    await store.ensure_bucket()
    for key, data in (("a", b"old"), ("b", b"first"), ("b", b"again"), ("c", b"123")):
        await store.put(key, data)
    for key in ("a", "b", "c"):
        await store.delete(key)
    assert (await store.get_cached("b"), await store.get_cached("c")) == (b"again", b"123")
    with pytest.raises(ObjectMissing):
        await store.get_cached("a")
    with pytest.raises(ObjectMissing):
        await store.get("c")
    await store.close()
