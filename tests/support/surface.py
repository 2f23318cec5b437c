"""The gateway's document as tests read it: every operation, and a request for it that could succeed."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    described: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def roles(self) -> list[list[str]]:
        """The roles that each way to sign in asks for; empty for what strangers may do."""
        return [role for wanted in self.described.get("security", []) for role in wanted.values()]

    @property
    def is_admins(self) -> bool:
        """Whether only administrators may call it."""
        return ["admin"] in self.roles

    def names(self, place: str) -> list[str]:
        """Its parameters in `path`, `query` or `header`."""
        return [each["name"] for each in self.described.get("parameters", ()) if each["in"] == place]

    def request(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Arguments for an HTTP client: a well-formed request about things that exist, as far as `known` names them."""
        path, query = self.path, {}
        for parameter in self.described.get("parameters", ()):
            value = known.get(parameter["name"]) or sample(parameter["schema"])
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(value))
            elif parameter["in"] == "query" and parameter.get("required"):
                query[parameter["name"]] = value
        return {"method": self.method, "url": path, "params": query, **self._body()}

    def _body(self) -> dict[str, Any]:
        content = self.described.get("requestBody", {}).get("content", {})
        if JSON in content:
            return {"json": sample(content[JSON]["schema"])}
        if FORM in content:
            return {"data": sample(content[FORM]["schema"])}
        if MULTIPART in content:
            return {"files": {"file": ("a.wav", b"not a recording")}}
        return {"content": b"x"} if content else {}


def all_operations() -> Iterator[Operation]:
    """Every operation of the document, in its order."""
    for path, methods in DOCUMENT["paths"].items():
        for method, described in methods.items():
            yield Operation(method.upper(), path, described)


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that the schema allows: its example, or the simplest one that can be thought of."""
    if "$ref" in schema:
        return sample(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for given in ("examples", "enum"):
        if given in schema:
            return schema[given][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return sample(schema[choice][0])
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: sample(properties[name]) for name in schema.get("required", ())}
    if schema.get("type") == "array":
        return [sample(schema["items"])] * schema.get("minItems", 0)
    return _simple(schema)


def _simple(schema: Mapping[str, Any]) -> Any:
    if "default" in schema or "const" in schema:
        return schema.get("const", schema.get("default"))
    if schema.get("type") in {"integer", "number"}:
        return schema.get("minimum", 1)
    if schema.get("type") == "boolean":
        return False
    if schema.get("format") == "uuid":
        return str(uuid.uuid4())
    return "x" * max(1, schema.get("minLength", 1))
