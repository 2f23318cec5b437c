"""HEAD for every GET route: the headers of the answer, without its body."""

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """Answers HEAD through the GET route, unless a route handles HEAD; the body is not produced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or _is_routed(scope, scope["app"].routes):
            await self._app(scope, receive, send)
            return
        asked = {**scope, "method": "GET"}
        headed = False

        async def send_head(message: Message) -> None:
            nonlocal headed
            if message["type"] == "http.response.start":
                await send(message)
            elif not headed:
                headed = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                # Like a disconnect, so that a stream or a file is not read to its end.
                raise ClientDisconnect

        try:
            await self._app(asked, receive, send_head)
        except ClientDisconnect:
            if not headed:
                raise
        finally:
            # Outer middleware reads the route from the scope that it passed on.
            scope.update({name: asked[name] for name in ("route", "endpoint", "path_params") if name in asked})


def _is_routed(scope: Scope, routes: list[BaseRoute]) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
