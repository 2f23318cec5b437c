"""Backups outside the native stack: databases and store named by the environment, and made by an earlier release."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from common import database
from common.settings import DatabaseSettings, StorageSettings
from common.storage import ObjectStore, keys
from native.backup import Places, back_up, restore
from native.programs import ProgramError
from native.testing import ObjectStoreServer, PostgresServer

pytestmark = pytest.mark.integration

SERVICES = ("auth", "jobs", "metadata", "cleanup")
JOB = """
    INSERT INTO jobs (id, owner_id, file_name, content_type, size_bytes, sha256, source_key, options, correlation_id,
                      state)
    VALUES (gen_random_uuid(), gen_random_uuid(), $1, 'audio/mpeg', 5, $2, 'x', '{"model": "base"}', 'c', $3)
    RETURNING id
"""
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def places(
    postgres_server: PostgresServer, s3_server: ObjectStoreServer, monkeypatch: pytest.MonkeyPatch
) -> list[Places]:
    """Two systems without anything in them, as an operator's environment would name them."""
    made = []
    for number in (1, 2):
        for service in SERVICES:
            monkeypatch.setenv(f"{service.upper()}_DB_URL", postgres_server.create_service(f"{service}_{number}"))
        storage = s3_server.settings(f"backup-{number}")
        monkeypatch.setenv("S3_ENDPOINT", storage.s3_endpoint)
        monkeypatch.setenv("S3_BUCKET", storage.s3_bucket)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", storage.aws_access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", storage.aws_secret_access_key.get_secret_value())
        place = Places.of_environment()
        assert place is not None
        made.append(place)
    monkeypatch.delenv("AUTH_DB_URL")
    with pytest.raises(ProgramError, match="AUTH_DB_URL is not set"):
        Places.of_environment()
    return made


async def put(storage: StorageSettings, **objects: bytes) -> None:
    store = ObjectStore(storage)
    await store.ensure_bucket()
    for key, content in objects.items():
        await store.put(key, content)
    await store.close()


async def test_backup_of_an_earlier_release_becomes_a_system_of_this_one(places: list[Places], tmp_path: Path) -> None:
    old, new = places
    for service in SERVICES:
        first = database.revisions(f"{service}.migrations")[0]
        await asyncio.to_thread(database.migrate, old.databases[service], f"{service}.migrations", to=first)
    connection = await asyncpg.connect(old.libpq("jobs"))
    whole = await connection.fetchval(JOB, "whole.mp3", HELLO, "completed")
    altered = await connection.fetchval(JOB, "alt\\tered\n.mp3", "ab" * 32, "processing")
    missing = await connection.fetchval(JOB, "missing.mp3", HELLO, "queued")
    line = (
        "INSERT INTO log_lines (job_id, log_id, record)"
        """ VALUES (gen_random_uuid(), gen_random_uuid(), '{"service": "jobs"}')"""
    )
    for _ in range(3):
        await connection.execute(line)
    await connection.execute("DELETE FROM log_lines WHERE seq = 3")
    await connection.close()
    unknown = keys.source(altered).replace(str(altered), "0" * 8 + str(altered)[8:])
    await put(
        old.storage,
        **{keys.source(whole): b"hello", keys.source(altered): b"hollo", unknown: b"x", "resumable/y/z": b"r"},
    )

    said: list[str] = []
    manifest = await back_up(old, tmp_path / "b.tar", said.append)
    assert manifest["objects"]["altered"] == [keys.source(altered)]
    assert manifest["objects"]["missing"] == [keys.source(missing)]
    assert manifest["objects"]["count"] == 2, "what belongs to no job is not copied"
    assert any("altered in the store" in sentence for sentence in said)

    await restore(new, tmp_path / "b.tar", said.append)
    for service in SERVICES:
        engine = database.create_engine(DatabaseSettings(db_url=new.databases[service]))
        await database.require_current(engine, f"{service}.migrations")
        await engine.dispose()
    connection = await asyncpg.connect(new.libpq("jobs"))
    names = {row["id"]: row["file_name"] for row in await connection.fetch("SELECT id, file_name FROM jobs")}
    assert names == {whole: "whole.mp3", altered: "alt\\tered\n.mp3", missing: "missing.mp3"}
    following = await connection.fetchval(
        "INSERT INTO log_lines (kind, service, log_id, record) VALUES ('job', 'x', gen_random_uuid(), '{}')"
        " RETURNING seq"
    )
    assert following == 4, "numbers that were given out once are not given out again"
    await connection.close()
    store = ObjectStore(new.storage)
    assert [info.key async for info in store.list("")] == sorted(keys.source(job) for job in (whole, altered))
    assert await store.get(keys.source(whole)) == b"hello"
    await store.close()
    with pytest.raises(ProgramError, match="has tables already"):
        await restore(new, tmp_path / "b.tar", said.append)
