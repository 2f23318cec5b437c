"""What counts as one client, and who may say where a request comes from."""

import httpx
import pytest
from fastapi import Depends, FastAPI, Request

from common.web.addresses import INTERNAL_HEADER, FromGateway, address_group, client_address, from_gateway
from common.web.errors import Problem, problem_response


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("x" * 100, "x" * 64),
    ],
)
def test_ipv4_counts_alone_and_ipv6_by_its_network(address: str, group: str) -> None:
    assert address_group(address) == group


SECRET = "a secret that the gateway shows"


@pytest.fixture
def service() -> FastAPI:
    app = FastAPI()

    @app.get("/from")
    async def who(request: Request) -> str:
        return client_address(request)

    @app.get("/internal", dependencies=[Depends(from_gateway)])
    async def internal() -> str:
        return "open"

    @app.exception_handler(Problem)
    async def told(request: Request, problem: Problem) -> object:
        return problem_response(problem, service="test", request_id=None)

    app.add_middleware(FromGateway, secret=SECRET)
    return app


@pytest.mark.parametrize("shown", [None, "", "x", SECRET + "x", SECRET[:-1], SECRET.upper(), "\u00e9"])
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "203.0.113.9"])
async def test_nobody_without_the_secret_names_an_address_or_gets_in(
    service: FastAPI, address: str, shown: str | None
) -> None:
    headers = {"X-Forwarded-For": "198.51.100.7"} | ({} if shown is None else {INTERNAL_HEADER: shown})
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    transport = httpx.ASGITransport(service, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.get("/from", headers=raw)).json() == address
        refused = await client.get("/internal", headers=raw)
        assert (refused.status_code, refused.json()["code"]) == (403, "internal_only")


async def test_who_shows_the_secret_is_the_gateway(service: FastAPI) -> None:
    headers = {"X-Forwarded-For": "198.51.100.7", INTERNAL_HEADER: SECRET}
    transport = httpx.ASGITransport(service, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.get("/from", headers=headers)).json() == "198.51.100.7"
        assert (await client.get("/internal", headers=headers)).json() == "open"
