"""HTTP clients of the services: none of them asks a service next door through a proxy that the environment names."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ("libs", "services", "deploy") for path in (ROOT / folder).glob("**/src/**/*.py")]
CLIENTS = {"httpx.AsyncClient", "httpx.Client"}
# These read HTTP_PROXY and its relatives, and nothing can be said against it where they are called.
ALWAYS_BY_PROXY = {
    *(f"httpx.{name}" for name in ("get", "head", "options", "post", "put", "patch", "delete", "request", "stream")),
    "urllib.request.urlopen",
    "urllib3.ProxyManager",
    "aiohttp.ClientSession",
}
# On purpose: a language model in the outside world is asked as the installation asks the outside world.
OUTSIDE = {("services/metadata/src/metadata/analysis/extractor.py", "openai.AsyncOpenAI")}


def calls() -> list[tuple[str, str, ast.Call]]:
    """Every call of a dotted name: file, name, call."""
    return [
        (path.relative_to(ROOT).as_posix(), ast.unparse(node.func), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def test_every_client_says_that_it_ignores_the_environments_proxies() -> None:
    made = [(path, call) for path, name, call in calls() if name in CLIENTS]
    assert len(made) >= 3, "the clients of the gateway, the token verifier and the demo"
    careless = [
        f"{path}:{call.lineno}"
        for path, call in made
        if not any(each.arg == "trust_env" and ast.unparse(each.value) == "False" for each in call.keywords)
    ]
    assert not careless, "say trust_env=False"


def test_nobody_uses_clients_that_follow_proxies() -> None:
    assert not [f"{path}:{call.lineno} {name}" for path, name, call in calls() if name in ALWAYS_BY_PROXY]
    outside = {(path, name) for path, name, _ in calls() if name.endswith(("OpenAI", "HttpxClient"))}
    assert {(path, name.removeprefix("self._")) for path, name in outside} <= OUTSIDE


def test_httpx_and_urllib_are_called_by_their_full_names() -> None:
    """So that the tests above see every call."""
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module in {"httpx", "urllib.request", "aiohttp", "requests"})
        or (
            isinstance(node, ast.Import)
            and any(
                each.name == "requests" or each.asname
                for each in node.names
                if each.name.partition(".")[0] in {"httpx", "urllib", "urllib3", "aiohttp", "requests"}
            )
        )
    ]
    assert not hidden
