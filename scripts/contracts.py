"""Writes the documents that are generated from the code, or checks that they are up to date.

    python scripts/contracts.py          # write
    python scripts/contracts.py --check  # exit 1 and name what differs

From the event catalogue: a golden JSON Schema per message, an AsyncAPI document, and the tables of messages in
ARCHITECTURE.md. A change of a golden schema is a change of the contract between services: adding an optional field is
fine, anything else needs a new class with the next version in its routing key.

From the folders of the services: the map of rooms in ARCHITECTURE.md.

From the routes: each service's OpenAPI document, which the gateway reads to know what it passes on, then the gateway's
own, docs/openapi.json, and from that the web page's types, web/src/api/schema.ts, which only a machine with Node.js can
write but any can check: their first line names the document they were made from.
"""

import argparse
import ast
import functools
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from common.events import (
    ALL,
    COMMAND_CONSUMERS,
    COMMANDS,
    NOTICES,
    RECEIVERS,
    SENDERS,
    SERVICES,
    SUBSCRIBERS,
    Command,
    Event,
    Message,
    Notice,
)
from common.messaging.topology import CONTROL, EVENTS, EXCHANGES, WORK

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = Path("tests/contract/schemas")
ASYNCAPI = Path("docs/asyncapi.json")
ARCHITECTURE = Path("ARCHITECTURE.md")
INTERFACES = Path("services/gateway/src/gateway/relay/documents")
RELAYED = ("auth", "cleanup", "jobs", "metadata")
OPENAPI = Path("docs/openapi.json")
PAGE_TYPES = Path("web/src/api/schema.ts")
TYPES_PROGRAM = ROOT / "web/node_modules/.bin/openapi-typescript"
BEGIN, END = "<!-- events:begin -->", "<!-- events:end -->"
ROOMS_BEGIN, ROOMS_END = "<!-- rooms:begin -->", "<!-- rooms:end -->"
# What may stand at the top level of a service, as a module or as a package, in the order of the map.
ROOMS = (
    "__main__",
    "app",
    "settings",
    "routes",
    "consumers",
    "schemas",
    "service",
    "repository",
    "tables",
    "errors",
    "metrics",
    "migrations",
)

MESSAGES: tuple[type[Message], ...] = (*ALL, *COMMANDS, *NOTICES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a document is out of date")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"only these: {', '.join(PARTS)}")
    chosen = parser.parse_intermixed_args(arguments)
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no part: {', '.join(unknown)}")
    parts = [PARTS[name] for name in chosen.parts or PARTS]
    if not (ROOT / ARCHITECTURE).exists():
        print(f"{ARCHITECTURE} does not exist: its tables are skipped")
    if chosen.check:
        drifted = [path for part in parts for path in _drifted(part())]
        complaints = [f"{path} is out of date: run python scripts/contracts.py" for path in drifted]
        complaints += [f"{path} belongs to no message: run python scripts/contracts.py" for path in _surplus()]
        complaints += _types_drift()
        print(*complaints, sep="\n", end="\n" if complaints else "")
        return 1 if complaints else 0
    for part in parts:
        _write(part())
    for path in _surplus():
        (ROOT / path).unlink()
        print(f"removed {path}")
    if _types_drift():
        _write_types()
    return 0


def _drifted(wanted: dict[Path, str]) -> list[Path]:
    return [path for path, content in wanted.items() if _read(path) != content]


def _write(wanted: dict[Path, str]) -> None:
    for path in _drifted(wanted):
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path}")


def documents() -> dict[Path, str]:
    """Return the wanted content of every document of the event catalogue by its path from the root."""
    wanted = {
        SCHEMAS / f"{message.type_name()}.json": _json(message.model_json_schema(mode="serialization"))
        for message in MESSAGES
    }
    wanted[ASYNCAPI] = _json(asyncapi())
    page = _read(ARCHITECTURE)
    if page is not None:
        wanted[ARCHITECTURE] = _with_tables(page)
    return wanted


def interfaces() -> dict[Path, str]:
    """Return the wanted OpenAPI documents of the services behind the gateway by their path from the root."""
    with ThreadPoolExecutor(2) as pool:
        return dict(
            zip((INTERFACES / f"{service}.json" for service in RELAYED), pool.map(_openapi, RELAYED), strict=True)
        )


def surface() -> dict[Path, str]:
    """Return the gateway's wanted OpenAPI document, which follows from the services' as they are stored."""
    return {OPENAPI: _openapi("gateway")}


# In this order: each follows from those before it as they are stored.
PARTS = {"events": documents, "interfaces": interfaces, "surface": surface}


@functools.cache
def _openapi(service: str) -> str:
    # In a process of its own: two services may give a metric the same name.
    done = subprocess.run([sys.executable, "-m", service, "openapi"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"python -m {service} openapi failed:\n{done.stderr}")
    return done.stdout


def _source() -> str:
    """Return the first line of types that are made from the gateway's document as it is stored."""
    return f"// From {OPENAPI}, SHA-256 {hashlib.sha256((_read(OPENAPI) or '').encode()).hexdigest()}\n"


def _types_drift() -> list[str]:
    types = _read(PAGE_TYPES)
    if types is None or types.startswith(_source()):
        return []
    return [f"{PAGE_TYPES} is not made from {OPENAPI} as it is: run npm ci && npm run api in web/"]


def _write_types() -> None:
    if not TYPES_PROGRAM.exists():
        print(*_types_drift())
        return
    command = [str(TYPES_PROGRAM), str(ROOT / OPENAPI), "--default-non-nullable=true"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"NO_COLOR": "1"})
    _write({PAGE_TYPES: _source() + made.stdout})


def asyncapi() -> dict[str, Any]:
    """Describe every message, where it travels, who sends it and who receives it, as AsyncAPI 3.0."""
    _, definitions = models_json_schema(
        [(message, "serialization") for message in MESSAGES], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Verbatim's messages",
            "version": "1",
            "description": "Generated from the event catalogue in `common.events` by `scripts/contracts.py`.",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "localhost:5672", "protocol": "amqp", "description": "RabbitMQ"}},
        "channels": {message.type_name(): _channel(message) for message in MESSAGES},
        "operations": dict(_operation(*each) for message in MESSAGES for each in _parties(message)),
        "components": {
            "messages": {message.__name__: _message(message) for message in MESSAGES},
            "schemas": definitions["$defs"],
        },
    }


def senders(message: type[Message]) -> tuple[str, ...]:
    """Return the services that send a message: an event, the one that its module is named after; work, jobs."""
    if issubclass(message, Event):
        return (message.__module__.rpartition(".")[2],)
    return SENDERS[message] if issubclass(message, Notice) else ("jobs",)


def receivers(message: type[Message]) -> tuple[str, ...]:
    """Return the services that receive a message."""
    if issubclass(message, Event):
        return SUBSCRIBERS[message]
    if issubclass(message, Command):
        return (COMMAND_CONSUMERS[message],)
    assert issubclass(message, Notice)
    return RECEIVERS[message]


def sentence(message: type[Message]) -> str:
    """Return the description of a message, from its docstring."""
    return (inspect.getdoc(message) or "").split("\n\n")[0].replace("\n", " ")


def _parties(message: type[Message]) -> Iterable[tuple[type[Message], str, str]]:
    for service in senders(message):
        yield message, "send", service
    for service in receivers(message):
        yield message, "receive", service


def _operation(message: type[Message], action: str, service: str) -> tuple[str, dict[str, Any]]:
    channel = f"#/channels/{message.type_name()}"
    return f"{service}.{action}.{message.type_name()}", {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message.__name__}"}],
        "tags": [{"name": service}],
    }


def _channel(message: type[Message]) -> dict[str, Any]:
    exchange = EVENTS if message in ALL else WORK if message in COMMANDS else CONTROL
    channel: dict[str, Any] = {
        "address": message.type_name(),
        "messages": {message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}},
    }
    if message.type_name() == "work.chunk":
        channel["address"] = "work.chunk.{model}"
        channel["parameters"] = {"model": {"description": "The model that the job's options name."}}
    channel["bindings"] = {
        "amqp": {
            "is": "routingKey",
            "exchange": {"name": exchange, "type": EXCHANGES[exchange], "durable": True, "autoDelete": False},
            "bindingVersion": "0.3.0",
        }
    }
    return channel


def _message(message: type[Message]) -> dict[str, Any]:
    return {
        "name": message.type_name(),
        "summary": sentence(message),
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "correlationId": {"location": "$message.payload#/correlation_id"},
    }


def _with_tables(page: str) -> str:
    """Put the tables and the map between their markers; a page without markers stays as it is."""
    events = _table(ALL, ("event", "published by", "when", "consumed by"))
    others = _table((*COMMANDS, *NOTICES), ("work and notices", "sent by", "what", "received by"))
    page = _between(BEGIN, END, f"{events}\n\n{others}", page)
    return _between(ROOMS_BEGIN, ROOMS_END, rooms_map(), page)


def _between(begin: str, end: str, generated: str, page: str) -> str:
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{generated}\n{end}", page, flags=re.DOTALL)


def entries(folder: Path) -> dict[str, Path]:
    """Return the modules and packages of a folder by name; folders without Python files are not listed."""
    found = {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}
    found |= {path.parent.name: path.parent for path in folder.glob("*/__init__.py")}
    return dict(sorted(found.items()))


def rooms_map() -> str:
    """Return the map of the services: the rooms of each, and everything else with its purpose."""
    rows = ["| service | rooms and packages | contents |", "| --- | --- | --- |"]
    for service in sorted(SERVICES):
        found = entries(ROOT / "services" / service / "src" / service)
        rooms = " ".join(f"`{room}{'/' if found[room].is_dir() else ''}`" for room in ROOMS if room in found)
        rows.append(f"| **{service}** | {rooms} | the rooms above |")
        rows += [f"| | {_entry(path)} | {_purpose(path)} |" for name, path in found.items() if name not in ROOMS]
    return "\n".join(rows)


def _entry(path: Path) -> str:
    if not path.is_dir():
        return f"`{path.name}`"
    return f"`{path.name}/`: {', '.join(f'`{name}`' for name in entries(path))}"


def _purpose(path: Path) -> str:
    """Return the first line of the docstring of a module or a package."""
    source = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")


def _table(messages: Iterable[type[Message]], heading: Sequence[str]) -> str:
    rows = [
        (f"`{message.type_name()}`", _named(senders(message)), sentence(message), _named(receivers(message)))
        for message in messages
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, ("---",) * 4, *rows))


def _named(services: Sequence[str]) -> str:
    return "every service" if set(services) == set(SERVICES) else ", ".join(services) or "none"


def _surplus() -> list[Path]:
    golden = sorted((ROOT / SCHEMAS).glob("*.json"))
    return [path for path in (file.relative_to(ROOT) for file in golden) if path not in documents()]


def _read(path: Path) -> str | None:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.exists() else None


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
