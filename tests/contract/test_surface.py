"""The public surface is what the services say about themselves, and programs can be made from its document."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.web.answers import operations

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ROOT / "services" / "gateway" / "src" / "gateway" / "relay" / "documents"

contracts = runpy.run_path(str(ROOT / "scripts" / "contracts.py"))
document: dict[str, Any] = json.loads((ROOT / "docs" / "openapi.json").read_text())


def references(value: Any) -> Iterator[str]:
    """Every component that a part of a document refers to."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
    elif isinstance(value, str) and value.startswith("#/components/"):
        yield value


def test_the_page_is_written_against_the_documented_surface() -> None:
    assert contracts["_types_drift"]() == []


def test_operations_have_names_of_their_own_and_a_summary() -> None:
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert [operation["operationId"] for operation in operations(document) if not operation.get("summary")] == []


def test_everything_that_is_referred_to_is_there_and_is_used() -> None:
    for reference in references(document):
        part: Any = document
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]
    used = {reference.rpartition("/")[2] for reference in references(document)}
    assert set(document["components"]["schemas"]) == used


def test_every_public_operation_of_a_service_is_part_of_it_and_no_internal_one() -> None:
    offered = {(path, method) for path, methods in document["paths"].items() for method in methods}
    for source in SERVICES.glob("*.json"):
        for path, methods in json.loads(source.read_text())["paths"].items():
            for method, operation in methods.items():
                if "internal" not in operation["tags"]:
                    assert (path, method) in offered
    assert not any("internal" in operation["tags"] for operation in operations(document))


def test_whoever_needs_a_token_and_whoever_needs_a_role_can_be_told_from_the_document() -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            roles = [role for wanted in operation.get("security", []) for role in wanted.values()]
            assert ["admin"] in roles or not path.startswith("/admin/"), f"{method} {path}"
            assert "401" in operation["responses"] or not roles, f"{method} {path}"
            assert ("403" in operation["responses"]) or ["admin"] not in roles, f"{method} {path}"


def test_examples_say_which_service_states_the_problem() -> None:
    for operation in operations(document):
        for status, response in operation["responses"].items():
            for example in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).values():
                assert example["value"]["status"] == int(status)
                assert re.fullmatch("auth|jobs|metadata|cleanup|gateway", example["value"]["service"])


def shows(schema: dict[str, Any]) -> bool:
    """Whether a schema comes with an example, or can be read without one."""
    if "$ref" in schema:
        return shows(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if {"example", "examples", "enum", "const"} & set(schema):
        return True
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        return any(shows(choice) for choice in choices)
    if "items" in schema:
        return shows(schema["items"])
    parts = schema.get("properties", {}).values()
    is_plain = "type" in schema and schema["type"] not in {"object", "array"}
    return schema.get("format") == "binary" or is_plain or (bool(parts) and all(shows(part) for part in parts))


@pytest.mark.parametrize("operation", list(operations(document)), ids=lambda operation: operation["operationId"])
def test_an_operation_shows_what_is_sent_what_comes_back_and_what_may_go_wrong(operation: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            assert {"example", "examples"} & (set(parameter) | set(parameter["schema"])), parameter["name"]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        assert {"example", "examples"} & set(content) or shows(content["schema"]), f"body {kind}"
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            if kind == "application/problem+json":
                assert status == "default" or content.get("examples"), f"problems {status}"
            else:
                assert {"example", "examples"} & set(content) or shows(content["schema"]), f"answer {status} {kind}"
