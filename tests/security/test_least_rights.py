"""Each service's own accounts, at the broker, the object store and the database, and what they are refused there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from uuid import uuid4

import aio_pika
import aiormq
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error

from common.events import ALL, SERVICES
from common.messaging.topology import EXCHANGES, standing_queues
from common.storage import ObjectStore
from native import bootstrap, postgres, rabbitmq, seaweedfs
from native.fleet import WITH_DATABASE, Fleet

pytestmark = pytest.mark.e2e

# Written down here once more, and not taken from the table that the fleet's rights come from.
PUBLISHERS = {
    "user": "auth",
    "job": "jobs",
    "chunk": "transcriber",
    "audio": "transcriber",
    "transcript": "transcriber",
    "metadata": "metadata",
    "reset": "cleanup",
}
NOT_OF_JOBS = {"job.expired.v1": "cleanup"}
SENDERS = {
    "control.cancel_job": {"jobs"},
    "control.pause_workers": {"jobs"},
    "control.end_processes": {"jobs"},
    "control.worker_heartbeat": {"transcriber"},
    "control.storage_measured": {"cleanup"},
    "control.access_revoked": {"auth"},
    "control.service_heartbeat": set(SERVICES),
}
READERS = {
    "auth.events": "auth",
    "jobs.events": "jobs",
    "metadata.events": "metadata",
    "cleanup.events": "cleanup",
    "jobs.logs": "jobs",
    "dead-letters": "jobs",
    "work.plan": "transcriber",
    "work.assemble": "transcriber",
}
JOB = "11111111-1111-4111-8111-111111111111"
OBJECTS = {
    "upload": f"uploads/{JOB}/source",
    "resumable": f"resumable/{JOB}/upload.json",
    "chunk": f"jobs/{JOB}/a1/chunks/00000.s16",
    "result": f"jobs/{JOB}/a1/results/00000.json",
    "transcript": f"transcripts/{JOB}/a1/transcript.json",
    "metadata": f"transcripts/{JOB}/metadata.json",
    "other": f"other/{JOB}",
}
EVERYTHING = set(OBJECTS)
MAY_READ = {
    "gateway": {"upload", "resumable", "chunk", "transcript", "metadata"},
    "transcriber": {"upload", "chunk", "result"},
    "metadata": {"transcript", "metadata"},
    "cleanup": EVERYTHING,
}
MAY_WRITE = {
    "gateway": {"upload", "resumable"},
    "transcriber": {"chunk", "result", "transcript", "metadata"},
    "metadata": {"metadata"},
    "cleanup": EVERYTHING,
}
MAY_LIST = {"gateway": {"resumable"}, "cleanup": EVERYTHING}

Attempt = Callable[[AbstractChannel], Awaitable[object]]


def publisher(key: str) -> str:
    return NOT_OF_JOBS.get(key) or PUBLISHERS[key.partition(".")[0]]


def to(exchange: str, key: str) -> Attempt:
    """An attempt to publish an empty message."""

    async def publish(channel: AbstractChannel) -> None:
        if exchange == "":
            await channel.default_exchange.publish(aio_pika.Message(b""), key, mandatory=False)
        else:
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(aio_pika.Message(b""), key, mandatory=False)

    return publish


async def leave(_message: aio_pika.abc.AbstractIncomingMessage) -> None:
    """Take a message and do nothing with it: it goes back when the channel closes."""


def at(queue: str, what: str) -> Attempt:
    """An attempt on a queue."""

    async def attempt(channel: AbstractChannel) -> None:
        seen = await channel.get_queue(queue, ensure=False)
        if what == "get":
            await seen.get(fail=False)
        elif what == "purge":
            await seen.purge()
        elif what == "consume":
            await seen.consume(leave)
        elif what == "delete":
            await channel.queue_delete(queue)
        elif what == "unbind":
            await seen.unbind("events", "job.created.v1")

    return attempt


def spying(service: str, exchange: str) -> Attempt:
    """An attempt to bind a listening queue, as a service may make them, to an exchange that is not for it."""

    async def attempt(channel: AbstractChannel) -> None:
        queue = await channel.declare_queue(f"{service}.control.{uuid4().hex[:12]}", exclusive=True)
        await queue.bind(exchange, "#")

    return attempt


@asynccontextmanager
async def signed_in(fleet: Fleet, service: str) -> AsyncIterator[AbstractConnection]:
    port = fleet.port(rabbitmq.NAME, "amqp")
    async with await aio_pika.connect(rabbitmq.url(fleet.state, port, user=service)) as connection:
        yield connection


async def refused(connection: AbstractConnection, attempt: Attempt) -> bool:
    """Whether the broker answers the attempt with "access refused"."""
    channel = await connection.channel()
    try:
        await attempt(channel)
        await channel.get_exchange("events", ensure=True)  # by then a refusal has come
    except aiormq.exceptions.ChannelAccessRefused:
        return True
    finally:
        if not channel.is_closed:
            await channel.close()
    return False


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_publishes_nothing_that_is_anothers(quick_fleet: Fleet, service: str) -> None:
    foreign = [("events", event.routing_key) for event in ALL if publisher(event.routing_key) != service]
    foreign += [("events", "planted.v1"), ("logs", "planted.info.-"), ("dead", "planted")]
    foreign += [("control.v2", name) for name, senders in SENDERS.items() if service not in senders]
    foreign += [("logs", f"{other}.info.-") for other in SERVICES if other != service]
    foreign += [("", queue) for queue in READERS]
    if service != "jobs":  # which replays dead letters, straight into the queue where they died
        foreign += [(f"{other}.own", f"{other}.events") for other in WITH_DATABASE if other != service]
        foreign.append(("archive", ""))
    if service not in ("jobs", "transcriber"):
        foreign += [("work", "work.plan"), ("work", "work.chunk.base")]
    assert len(foreign) > 25
    async with signed_in(quick_fleet, service) as connection:
        assert [address for address in foreign if not await refused(connection, to(*address))] == []
        assert not await refused(connection, to("logs", f"{service}.debug.-"))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_takes_nothing_from_queues_of_others_and_removes_none(quick_fleet: Fleet, service: str) -> None:
    assert {spec.name for spec in standing_queues()} == set(READERS)
    ways = ("get", "consume", "purge", "delete", "unbind")
    foreign = [(queue, what) for queue, reader in READERS.items() if reader != service for what in ways]
    if service not in ("jobs", "transcriber"):
        foreign += [("work.chunk.base", what) for what in ("get", "purge", "delete")]
    async with signed_in(quick_fleet, service) as connection:
        assert [attempt for attempt in foreign if not await refused(connection, at(*attempt))] == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_declares_and_binds_only_what_is_its_own(quick_fleet: Fleet, service: str) -> None:
    async def new_exchange(channel: AbstractChannel) -> None:
        await channel.declare_exchange("planted", durable=True)

    async def new_queue(channel: AbstractChannel) -> None:
        await channel.declare_queue("planted", durable=True)

    def without(exchange: str) -> Attempt:
        return lambda channel: channel.exchange_delete(exchange)

    attempts = [
        new_exchange,
        new_queue,
        *map(without, EXCHANGES),
        spying(service, "events"),
    ]
    if service not in ("jobs", "transcriber"):
        attempts.append(spying(service, "work"))
    if service != "jobs":
        attempts += [spying(service, "logs"), spying(service, "dead")]
    if service != "gateway":
        attempts.append(spying(service, "archive"))
    async with signed_in(quick_fleet, service) as connection:
        assert [number for number, attempt in enumerate(attempts) if not await refused(connection, attempt)] == []
        assert not await refused(connection, spying(service, "control.v2"))


@pytest.fixture
async def stored(quick_fleet: Fleet) -> AsyncIterator[ObjectStore]:
    """An object of each kind."""
    store = ObjectStore(quick_fleet.storage)
    for key in OBJECTS.values():
        await store.put(key, b"as it was")
    yield store
    for key in OBJECTS.values():
        await store.delete(key)
    await store.close()


def client(fleet: Fleet, service: str) -> tuple[Minio, str]:
    access, secret = seaweedfs.credentials(fleet.state, service)
    endpoint = fleet.storage.s3_endpoint.removeprefix("http://")
    return Minio(endpoint, access, secret, secure=False, region=fleet.storage.s3_region), fleet.storage.s3_bucket


def allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except S3Error as error:
        if error.code != "AccessDenied":
            raise
        return False
    return True


@pytest.mark.parametrize("service", sorted(MAY_READ))
async def test_a_service_reads_and_writes_the_objects_that_it_works_on(
    quick_fleet: Fleet, stored: ObjectStore, service: str
) -> None:
    s3, bucket = client(quick_fleet, service)
    seen: dict[str, set[str]] = {"read": set(), "write": set(), "list": set(), "delete": set()}
    for kind, key in OBJECTS.items():
        await stored.put(key, b"as it was")
        attempts: dict[str, Callable[[], object]] = {
            "read": partial(s3.get_object, bucket, key),
            "write": partial(s3.put_object, bucket, key, BytesIO(b"as it was"), 9),
            "list": partial(list, s3.list_objects(bucket, prefix=key.partition("/")[0] + "/")),
            "delete": partial(s3.remove_object, bucket, key),
        }
        for what, attempt in attempts.items():
            if allowed(attempt):
                seen[what].add(kind)
        if kind not in MAY_WRITE[service]:
            assert await stored.get(key) == b"as it was"
        await stored.put(key, b"as it was")
    assert seen == {
        "read": MAY_READ[service],
        "write": MAY_WRITE[service],
        "list": MAY_LIST.get(service, set()),
        "delete": MAY_WRITE[service],
    }


@pytest.mark.parametrize("service", sorted(MAY_READ))
async def test_a_service_has_no_say_about_the_bucket(quick_fleet: Fleet, stored: ObjectStore, service: str) -> None:
    s3, bucket = client(quick_fleet, service)
    policy = '{"Version": "2012-10-17", "Statement": []}'
    assert not allowed(lambda: s3.make_bucket("planted"))
    assert not allowed(lambda: s3.remove_bucket(bucket))
    assert not allowed(lambda: s3.set_bucket_policy(bucket, policy))
    if service != "cleanup":
        assert not allowed(lambda: list(s3.list_objects(bucket)))
        other = CopySource(bucket, OBJECTS["other"])
        for kind in MAY_WRITE[service]:
            assert not allowed(partial(s3.copy_object, bucket, OBJECTS[kind], other))
    assert await stored.get(OBJECTS["other"]) == b"as it was"


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_a_role_sees_no_schema_but_its_own(quick_fleet: Fleet, service: str) -> None:
    port = quick_fleet.port(postgres.NAME, "sql")
    admin = await asyncpg.connect(postgres.admin_url(quick_fleet.state, port, bootstrap.DATABASE))
    tables = await admin.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY($1)", WITH_DATABASE)
    await admin.close()
    password = bootstrap.role_password(quick_fleet.state, service)
    url = postgres.service_url(port, service, password, bootstrap.DATABASE).replace("+asyncpg", "")
    role = await asyncpg.connect(url)
    denied = [
        statement
        for schema, table in tables
        if schema != service
        for statement in (
            f'SELECT * FROM "{schema}"."{table}"',
            f'DELETE FROM "{schema}"."{table}"',
            f'DROP TABLE "{schema}"."{table}"',
        )
    ]
    denied += [f'CREATE TABLE "{other}".planted (n int)' for other in WITH_DATABASE if other != service]
    denied += [
        "CREATE TABLE public.planted (n int)",
        "CREATE DATABASE planted",
        "CREATE ROLE planted",
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        f"SET ROLE {postgres.SUPERUSER}",
    ]
    assert len(denied) > 30
    try:
        for statement in denied:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await role.execute(statement)
        assert await role.fetchval("SELECT count(*) >= 0 FROM alembic_version")
    finally:
        await role.close()
