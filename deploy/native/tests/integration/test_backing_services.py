"""The backing services as the fixtures give them: private, separate for each test, and able to come back."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import asyncpg
import pytest

from native import rabbitmq
from native.testing import ObjectStoreServer, PostgresServer, RabbitServer

pytestmark = pytest.mark.integration


def libpq(db_url: str) -> str:
    return db_url.replace("postgresql+asyncpg://", "postgresql://")


@pytest.fixture
async def connection(db_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(libpq(db_url))
    yield connection
    await connection.close()


async def test_a_service_role_works_in_its_own_schema_without_naming_it(connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE note (text text)")
    schema = await connection.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'note'")
    assert schema == await connection.fetchval("SELECT current_user")


async def test_a_service_role_cannot_enter_another_services_database(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_service(), postgres_server.create_service()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(libpq(first).rsplit("/", 1)[0] + "/" + second.rsplit("/", 1)[1])
    postgres_server.drop(first)
    postgres_server.drop(second)


async def test_postgres_keeps_what_was_committed_across_a_restart(postgres_server: PostgresServer, db_url: str) -> None:
    connection = await asyncpg.connect(libpq(db_url))
    await connection.execute("CREATE TABLE note AS SELECT 1 AS n")
    await connection.close()
    await postgres_server.restart()
    connection = await asyncpg.connect(libpq(db_url))
    assert await connection.fetchval("SELECT n FROM note") == 1
    await connection.close()


async def test_postgres_comes_back_after_a_kill(postgres_server: PostgresServer, db_url: str) -> None:
    await postgres_server.kill()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(libpq(db_url))
    await postgres_server.start()
    connection = await asyncpg.connect(libpq(db_url))
    await connection.close()


async def test_each_test_has_a_virtual_host_of_its_own(rabbitmq_server: RabbitServer) -> None:
    vhosts = [rabbitmq_server.create_vhost() for _ in range(2)]
    for vhost in vhosts:
        async with await aio_pika.connect(rabbitmq_server.vhost_url(vhost)) as broker:
            channel = await broker.channel()
            assert await channel.declare_queue("only-here", passive=vhost != vhosts[0], durable=True)
            break
    async with await aio_pika.connect(rabbitmq_server.vhost_url(vhosts[1])) as broker:
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await (await broker.channel()).declare_queue("only-here", passive=True)
    for vhost in vhosts:
        rabbitmq_server.delete_vhost(vhost)


async def test_rabbitmq_keeps_a_confirmed_message_across_a_restart_and_a_kill(rabbitmq_server: RabbitServer) -> None:
    vhost = rabbitmq_server.create_vhost()
    url = rabbitmq_server.vhost_url(vhost)
    async with await aio_pika.connect(url) as broker:
        channel = await broker.channel()
        queue = await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"text", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue.name)
    await asyncio.sleep(
        2
    )  # a quorum queue younger than this may not survive a kill (a limit of the broker, documented)
    await rabbitmq_server.restart()
    await rabbitmq_server.kill()
    await rabbitmq_server.start()
    async with await aio_pika.connect(url) as broker:
        queue = await (await broker.channel()).get_queue("kept")
        assert (await queue.get(timeout=10)).body == b"text"
    rabbitmq_server.delete_vhost(vhost)


async def test_rabbitmq_runs_without_plugins(rabbitmq_server: RabbitServer) -> None:
    listeners = await rabbitmq.control(rabbitmq_server.programs.state, "-q", "status")
    assert "protocol: amqp" in listeners
    assert "http" not in listeners


async def test_the_object_store_listens_on_loopback_and_comes_back_after_a_kill(s3_server: ObjectStoreServer) -> None:
    await s3_server.kill()
    await s3_server.start()
    await s3_server.restart()
