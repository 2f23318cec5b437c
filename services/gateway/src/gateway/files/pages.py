"""The web page's files: assets cached for ever, the rest checked each time, unknown paths are the page itself."""

from pathlib import Path, PurePosixPath

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

ASSETS = "assets/"
FOR_EVER = "public, max-age=31536000, immutable"
CHECK_FIRST = "no-cache"

PLAIN_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Verbatim</title>
<h1>Verbatim</h1>
<p>The service is running. The web page is not built.
<p>The API is described in <a href="/openapi.json">/openapi.json</a>.
</html>
"""


class WebPage(StaticFiles):
    """A built single-page application."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; for a path of the application's own (no file extension) its index."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or PurePosixPath(path).suffix:
                raise
            response = await super().get_response("index.html", scope)
        # The bundler puts a hash of the content into the names of assets, and into no others.
        response.headers["Cache-Control"] = FOR_EVER if path.startswith(ASSETS) else CHECK_FIRST
        return response


def built(web_dir: Path | None) -> WebPage | None:
    """The page in this folder; None when none is built there."""
    return WebPage(directory=web_dir) if web_dir is not None and (web_dir / "index.html").is_file() else None


def front(page: WebPage | None) -> APIRouter:
    """The answer to `/`: the way to the page, or a few words when there is none."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/app/") if page else HTMLResponse(PLAIN_PAGE)

    return router
