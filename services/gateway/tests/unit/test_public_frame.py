"""Headers, CORS, redirects, the document and the web page, without any service behind the gateway."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import Settings

Gateway = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """Clients of gateways without services."""
    async with AsyncExitStack() as stack:

        def client(**changes: object) -> httpx.AsyncClient:
            nowhere = "http://127.0.0.1:1"
            values: dict[str, object] = {
                "environment": "test",
                "internal_token": "what the gateway shows in these tests",
                "broker_url": "amqp://127.0.0.1:1/",
                "aws_access_key_id": "key",
                "aws_secret_access_key": "secret",
                "auth_url": nowhere,
                "jobs_url": nowhere,
                "metadata_url": nowhere,
                "cleanup_url": nowhere,
            }
            app = create_app(Settings.model_validate(values | changes))
            made = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")
            stack.push_async_callback(made.aclose)
            return made

        yield client


@pytest.fixture
def web_dir(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "assets" / "index-4fe1.js").write_text("1")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


async def test_root_says_that_the_service_runs_without_a_built_page(gateway: Gateway) -> None:
    client = gateway()
    front = await client.get("/")
    assert front.status_code == 200
    assert "running" in front.text
    assert (await client.get("/app/")).status_code == 404


async def test_root_redirects_to_the_page(gateway: Gateway, web_dir: Path) -> None:
    answer = await gateway(web_dir=web_dir).get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/app/")


async def test_page_is_returned_for_its_own_paths_but_not_for_missing_files(gateway: Gateway, web_dir: Path) -> None:
    client = gateway(web_dir=web_dir)
    for path in ("/app/", "/app/jobs/123", "/app/index.html"):
        answer = await client.get(path)
        assert "<title>page</title>" in answer.text
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"].startswith("text/html")
    missing = await client.get("/app/assets/index-gone.js")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    for path in ("/app/..%2fsecret.txt", "/app/%2e%2e/secret.txt", "/app//etc/passwd.txt"):
        assert "secret" not in (await client.get(path)).text


async def test_assets_are_cached_permanently_and_other_files_revalidated(gateway: Gateway, web_dir: Path) -> None:
    client = gateway(web_dir=web_dir)
    asset = await client.get("/app/assets/index-4fe1.js")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    icon = await client.get("/app/favicon.svg")
    assert icon.headers["cache-control"] == "no-cache"
    again = await client.get("/app/favicon.svg", headers={"If-None-Match": icon.headers["etag"]})
    assert again.status_code == 304


async def test_every_answer_has_the_security_headers(gateway: Gateway, web_dir: Path) -> None:
    client = gateway(web_dir=web_dir)
    for path in ("/", "/app/", "/version", "/nowhere", "/jobs"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers
    assert "script-src" not in (await client.get("/app/")).headers["content-security-policy"]
    assert (await client.get("/jobs")).headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get("/jobs")).headers["cache-control"] == "no-store"


async def test_https_answers_have_strict_transport_security(gateway: Gateway) -> None:
    client = gateway(trusted_proxies="127.0.0.1")
    answer = await client.get("/version", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_foreign_origins_are_refused_unless_configured(gateway: Gateway) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    closed = await gateway().get("/version", headers=headers)
    assert "access-control-allow-origin" not in closed.headers
    listed = await gateway(cors_origins="https://elsewhere.example").get("/version", headers=headers)
    assert listed.headers["access-control-allow-origin"] == "https://elsewhere.example"
    other = await gateway(cors_origins="https://third.example").get("/version", headers=headers)
    assert "access-control-allow-origin" not in other.headers


async def test_all_origins_are_allowed_only_without_credentials(gateway: Gateway) -> None:
    client = gateway(cors_origins="*")
    headers = {"Origin": "https://elsewhere.example", "Cookie": "a=b"}
    answer = await client.get("/nowhere", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = await client.options("/jobs", headers=headers | asked)
    assert preflight.status_code == 200
    assert "access-control-allow-credentials" not in preflight.headers


async def test_cors_covers_resumable_uploads_and_playback(gateway: Gateway) -> None:
    client = gateway(cors_origins="https://elsewhere.example")
    origin = {"Origin": "https://elsewhere.example"}
    pieces = "authorization,content-type,tus-resumable,upload-checksum,upload-length,upload-metadata,upload-offset"
    for path, method, headers in (
        ("/files", "POST", pieces),
        ("/files/x", "PATCH", pieces),
        ("/files/x", "HEAD", "authorization,tus-resumable"),
        ("/files/x", "DELETE", "authorization,tus-resumable"),
        ("/jobs/x/audio", "GET", "authorization,range"),
        ("/jobs/x/events", "GET", "authorization,last-event-id"),
        ("/jobs", "POST", "x-api-key,idempotency-key"),
    ):
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
        preflight = await client.options(path, headers=origin | asked)
        assert preflight.status_code == 200, f"{method} {path}: {preflight.text}"
    answer = await client.get("/version", headers=origin)
    shown = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"location", "upload-offset", "upload-expires", "x-verbatim-job", "content-range"} <= shown
    assert {"tus-resumable", "tus-version", "tus-extension", "tus-max-size", "tus-checksum-algorithm"} <= shown


async def test_document_describes_errors_as_problems_with_examples(gateway: Gateway) -> None:
    document = (await gateway().get("/openapi.json")).json()
    upload = document["paths"]["/jobs"]["post"]
    assert "multipart/form-data" in upload["requestBody"]["content"]
    large = upload["responses"]["413"]["content"]["application/problem+json"]
    assert large["examples"]["upload_too_large"]["value"]["status"] == 413
    assert large["schema"]["$ref"].endswith("/ProblemDocument")
    assert "ProblemDocument" in document["components"]["schemas"]


@pytest.mark.parametrize("path", ["/app", "/version/", "/jobs/", "/health/live/"])
async def test_redirects_contain_no_host(gateway: Gateway, web_dir: Path, path: str) -> None:
    client = gateway(web_dir=web_dir)
    for host in ("elsewhere.example", "elsewhere.example:80", "a b"):
        answer = await client.get(f"{path}?a=b", headers={"Host": host})
        wanted = "/app/" if path == "/app" else path.rstrip("/")
        assert (answer.status_code, answer.headers["location"]) == (307, f"{wanted}?a=b")


@pytest.mark.parametrize(
    "path", ["/", "/version", "/health/live", "/openapi.json", "/nowhere", "/app/", "/jobs", "/me"]
)
async def test_head_is_get_without_the_body(gateway: Gateway, web_dir: Path, path: str) -> None:
    client = gateway(web_dir=web_dir)
    whole, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    own = {"x-request-id", "x-correlation-id", "traceparent"}
    for name in whole.headers.keys() - own - ({"content-length"} if whole.is_error else set()):
        assert head.headers[name] == whole.headers[name], name
