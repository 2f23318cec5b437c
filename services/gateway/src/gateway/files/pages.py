"""The files of the web page: assets are cached permanently, others revalidated; unknown paths return the page."""

from pathlib import Path, PurePosixPath

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

ASSETS = "assets/"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

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
        """The file; the index for a path without a file extension, which is a path inside the application."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or PurePosixPath(path).suffix:
                raise
            response = await super().get_response("index.html", scope)
        # Only the names of assets contain a hash of their content.
        response.headers["Cache-Control"] = IMMUTABLE if path.startswith(ASSETS) else REVALIDATE
        return response


def built(web_dir: Path | None) -> WebPage | None:
    """The page in this folder; None if it is not built."""
    return WebPage(directory=web_dir) if web_dir is not None and (web_dir / "index.html").is_file() else None


def front(page: WebPage | None) -> APIRouter:
    """The answer to `/`: a redirect to the page, or a text if there is none."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def root() -> Response:
        return RedirectResponse("/app/") if page else HTMLResponse(PLAIN_PAGE)

    return router
