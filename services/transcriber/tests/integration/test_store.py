"""What a worker has just stored is recalled from memory, as far as there is room, and checks still read the store."""

import pytest

from common.settings import StorageSettings
from common.storage import ObjectMissing
from transcriber.work.store import RecentStore

pytestmark = pytest.mark.integration


async def test_the_latest_objects_are_recalled_from_memory(storage_settings: StorageSettings) -> None:
    store = RecentStore(storage_settings, remembered_bytes=10)
    await store.ensure_bucket()
    for key, data in (("a", b"old"), ("b", b"first"), ("b", b"again"), ("c", b"123")):
        await store.put(key, data)
    for key in ("a", "b", "c"):
        await store.delete(key)
    assert (await store.recall("b"), await store.recall("c")) == (b"again", b"123")
    with pytest.raises(ObjectMissing):
        await store.recall("a")
    with pytest.raises(ObjectMissing):
        await store.get("c")
    await store.close()
