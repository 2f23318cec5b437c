"""WebSockets are accepted from the same origin, allowed origins and programs."""

import pytest
from fastapi import WebSocket

from gateway.errors import ForeignOrigin
from gateway.logs.stream import check_origin


def socket(origin: str | None, host: str = "verbatim.example:8443") -> WebSocket:
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin is not None else [])

    async def nothing(*_: object) -> None: ...

    return WebSocket({"type": "websocket", "headers": headers, "path": "/"}, nothing, nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize("origin", [None, "https://verbatim.example:8443", "https://VERBATIM.example:8443"])
def test_own_origin_and_no_origin_are_accepted(origin: str | None) -> None:
    check_origin(socket(origin), [])


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://verbatim.example", "null", "", "http://[", "http://a]b"]
)
def test_foreign_origins_are_refused(origin: str) -> None:
    with pytest.raises(ForeignOrigin):
        check_origin(socket(origin), ["https://friend.example"])


@pytest.mark.parametrize("allowed", [["*"], ["https://friend.example"]])
def test_allowed_origins_are_accepted(allowed: list[str]) -> None:
    check_origin(socket("https://friend.example"), allowed)
