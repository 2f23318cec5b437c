"""Every port that a process of the fleet listens on, asked without credentials; a port that is not known here fails."""

import ipaddress
import re
import ssl
import stat
import struct
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
import httpx
import pytest
from aio_pika.exceptions import AMQPConnectionError

from common.storage import ObjectStore
from common.testing import eventually
from native import bootstrap, certificate, postgres, rabbitmq, seaweedfs
from native.fleet import WITH_DATABASE, Fleet
from native.programs import ProgramError, run
from native.readiness import exchange
from support.listeners import Listener, listeners

pytestmark = pytest.mark.e2e

SERVICES = (*WITH_DATABASE, "gateway", "transcriber-1")
STORE_PARTS = [purpose for purpose in seaweedfs.PORTS if purpose != "s3"]
# What is answered to everybody: no content, no names of people or recordings.
OPEN = {"/health", "/health/live", "/health/ready", "/version", "/.well-known/jwks.json", "/openapi.json"}
# Each of these deleted, replaced, or told something when the store's parts did not ask for a certificate.
STORE_REQUESTS = [
    ("GET", "/dir/status"),
    ("GET", "/dir/assign"),
    ("GET", "/col/delete?collection=verbatim"),
    ("GET", "/vol/grow?count=1"),
    ("GET", "/vol/status"),
    ("GET", "/status"),
    ("GET", "/ui/index.html"),
    ("GET", "/buckets/verbatim/"),
    ("PUT", "/buckets/verbatim/uploads/planted"),
    ("DELETE", "/buckets/verbatim/?recursive=true"),
    ("POST", "/submit"),
    ("GET", "/metrics"),
]


def found(fleet: Fleet) -> set[Listener]:
    return listeners(fleet.state.leftovers())


def test_nothing_listens_that_is_not_in_the_fleet_table_and_nothing_beyond_loopback(quick_fleet: Fleet) -> None:
    tcp = {listener for listener in found(quick_fleet) if listener.port}
    assert {listener.port for listener in tcp} == set(quick_fleet.ports)
    assert all(ipaddress.ip_address(listener.address).is_loopback for listener in tcp)


def test_every_port_has_a_check_here(quick_fleet: Fleet) -> None:
    checked = {
        ("postgres", "sql"),
        ("epmd", "epmd"),
        ("rabbitmq", "amqp"),
        ("rabbitmq", "nodes"),
        *((seaweedfs.NAME, purpose) for purpose in seaweedfs.PORTS),
        *((service, purpose) for service in SERVICES for purpose in ("http", "metrics")),
    }
    assert set(quick_fleet.ports.values()) == checked


def test_unix_sockets_are_the_object_stores_and_closed_to_other_accounts(quick_fleet: Fleet) -> None:
    paths = [Path(listener.address) for listener in found(quick_fleet) if not listener.port]
    ports = "|".join(str(quick_fleet.port(seaweedfs.NAME, purpose)) for purpose in seaweedfs.PORTS)
    expected = re.compile(rf".*/(seaweedfs/(filer|s3)\.sock|seaweedfs-[a-z0-9-]+-({ports})\.sock)")
    assert paths
    for path in paths:
        assert expected.fullmatch(str(path))
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("user", ["verbatim", "postgres", *WITH_DATABASE])
@pytest.mark.parametrize("password", [None, "", "verbatim"])
async def test_the_database_wants_a_password(
    quick_fleet: Fleet, tmp_path: Path, user: str, password: str | None
) -> None:
    port, no_file = quick_fleet.port(postgres.NAME, "sql"), tmp_path / "no-passwords"
    for database in ("postgres", bootstrap.DATABASE):
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(
                host="127.0.0.1", port=port, user=user, password=password, database=database, passfile=no_file
            )


@pytest.mark.parametrize("login", ["guest:guest", "verbatim:", "verbatim:guest", "gateway:", "jobs:jobs"])
async def test_the_broker_wants_a_password(quick_fleet: Fleet, login: str) -> None:
    port = quick_fleet.port(rabbitmq.NAME, "amqp")
    with pytest.raises(AMQPConnectionError):
        await aio_pika.connect(f"amqp://{login}@127.0.0.1:{port}/")


async def test_the_brokers_node_wants_its_cookie(quick_fleet: Fleet, tmp_path: Path) -> None:
    environment = rabbitmq.environment(quick_fleet.state)
    asked = ["erl_call", "-n", rabbitmq.NODE, "-e"]
    assert "ok" in await run(asked, env=environment, given="erlang:node().\n")
    for cookie in ([], ["-c", "guest"]):
        with pytest.raises(ProgramError):
            await run([*asked, *cookie], env=environment | {"HOME": str(tmp_path)}, given="erlang:node().\n")


async def test_the_port_mapper_tells_names_and_obeys_nobody(quick_fleet: Fleet) -> None:
    port = quick_fleet.port(rabbitmq.EPMD, "epmd")

    async def ask(request: bytes) -> bytes:
        return await exchange(port, struct.pack(">H", len(request)) + request)

    for order in (b"k", b"sverbatim"):  # end yourself; forget this node
        await ask(order)
        # The answer comes in two parts; `exchange` returns what it reads first.
        await eventually(lambda: ask(b"n"), lambda names: b"name verbatim at port" in names, seconds=30)


@pytest.mark.parametrize("part", STORE_PARTS)
async def test_every_part_of_the_object_store_wants_the_certificate(quick_fleet: Fleet, part: str) -> None:
    port = quick_fleet.port(seaweedfs.NAME, part)
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    async with httpx.AsyncClient(verify=stranger, trust_env=False) as client:
        for method, path in STORE_REQUESTS:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await client.request(method, f"https://127.0.0.1:{port}{path}")
            answer = await exchange(port, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert _is_refusal(answer)
    assert _is_refusal(await exchange(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)))


def _is_refusal(answer: bytes) -> bool:
    """Whether an answer to plain text is none, an alert of TLS, or HTTP's "bad request" of a server that wants TLS."""
    return answer == b"" or answer.startswith((b"HTTP/1.0 400", b"\x15\x03"))


async def test_who_shows_the_certificate_is_answered(quick_fleet: Fleet) -> None:
    home = quick_fleet.state.path / seaweedfs.NAME
    context = certificate.client_context(home / "certificate.pem", home / "key.pem")
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        answer = await client.get(f"https://127.0.0.1:{quick_fleet.port(seaweedfs.NAME, 'master')}/dir/status")
    assert "Topology" in answer.json()


async def test_the_object_store_wants_a_signature(quick_fleet: Fleet) -> None:
    store, key = ObjectStore(quick_fleet.storage), f"uploads/{uuid4()}/source"
    url = f"http://127.0.0.1:{quick_fleet.port(seaweedfs.NAME, 's3')}"
    bucket = f"{url}/{quick_fleet.storage.s3_bucket}"
    await store.put(key, b"as it was")
    signed = {"Authorization": "AWS verbatim:c2lnbmF0dXJl", "Date": "Sun, 29 Nov 2026 00:00:00 GMT"}
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for headers in ({}, signed):
                for method, where in [
                    ("GET", f"{bucket}/{key}"),
                    ("HEAD", f"{bucket}/{key}"),
                    ("PUT", f"{bucket}/{key}"),
                    ("DELETE", f"{bucket}/{key}"),
                    ("POST", f"{bucket}?delete"),
                    ("POST", f"{bucket}/{key}?uploads"),
                    ("GET", bucket),
                    ("GET", f"{bucket}?policy"),
                    ("PUT", f"{bucket}?policy"),
                    ("PUT", f"{bucket}?acl"),
                    ("DELETE", bucket),
                    ("PUT", f"{url}/planted"),
                    ("GET", f"{url}/"),
                    ("POST", f"{url}/?Action=ListUsers&Version=2010-05-08"),
                ]:
                    answer = await client.request(method, where, headers=headers, content=b"x")
                    assert answer.status_code in {401, 403, 405, 501}, (method, where, answer.status_code)
        assert await store.get(key) == b"as it was"
    finally:
        await store.delete(key)
        await store.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_wants_a_token_for_everything_that_it_documents(quick_fleet: Fleet, service: str) -> None:
    url = quick_fleet.url(service)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        document = (await client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            for method in operations:
                if path in OPEN or not _asks_who(operations[method]):
                    continue
                answer = await client.request(method, re.sub(r"\{[^}]+\}", str(uuid4()), path))
                # 403 `internal_only` is for whoever is not the gateway, before a token is asked for.
                assert answer.status_code in {401, 403}, (method, path, answer.status_code)


def _asks_who(operation: dict[str, object]) -> bool:
    return bool(operation.get("security"))


@pytest.mark.parametrize("service", SERVICES)
async def test_the_port_of_the_metrics_serves_at_most_metrics(quick_fleet: Fleet, service: str) -> None:
    url = f"http://127.0.0.1:{quick_fleet.port(service, 'metrics')}"
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for method, path in [("GET", "/metrics"), ("PUT", "/metrics"), ("GET", "/jobs"), ("DELETE", "/jobs")]:
            answer = await client.request(method, path)
            assert answer.status_code >= 400 or answer.text == "" or answer.text.startswith("# HELP ")
