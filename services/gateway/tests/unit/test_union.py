"""What is public, in which order it is matched, and how the documents become one."""

from typing import Any

import pytest

from gateway import surface
from gateway.surface import AmbiguousSurfaceError
from gateway.union import united

OK = {"200": {"description": "ok", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}}}


def document(paths: dict[str, str], thing: dict[str, Any] | None = None, tags: list[str] | None = None) -> Any:
    """A service with GET operations by path, whose answers are things."""
    operations = {
        path: {"get": {"operationId": name, "tags": tags or ["things"], "responses": OK}}
        for path, name in paths.items()
    }
    return {"paths": operations, "components": {"schemas": {"Thing": thing or {"type": "object"}}}}


def empty() -> Any:
    return {"paths": {}, "components": {}}


def test_internal_operations_and_those_of_the_gateway_itself_are_not_passed_on() -> None:
    documents = {"auth": document({"/inside": "a"}, tags=["internal"]), "jobs": document({"/x/{id}": "b", "/y": "c"})}
    found = surface.public(documents, [("GET", "/x/{job_id}")])
    assert [each.path for each in found] == ["/y"]


def test_a_fixed_word_is_tried_before_a_parameter() -> None:
    documents = {"jobs": document({"/x/{id}": "a", "/x/summary": "b", "/{any}": "c"})}
    assert [each.path for each in surface.public(documents, [])] == ["/x/summary", "/x/{id}", "/{any}"]


def test_two_services_cannot_offer_the_same() -> None:
    documents = {"auth": document({"/x/{id}": "a"}), "jobs": document({"/x/{name}": "b"})}
    with pytest.raises(AmbiguousSurfaceError, match="auth and jobs"):
        surface.public(documents, [])


def test_different_components_and_operations_with_one_name_are_told_apart_and_equal_ones_shared() -> None:
    documents = {
        "auth": document({"/a": "read"}),
        "jobs": document({"/b": "read"}),
        "metadata": document({"/c": "read"}, thing={"type": "string"}),
    }
    whole = united(empty(), surface.public(documents, []), documents)
    assert set(whole["components"]["schemas"]) == {"Thing", "MetadataThing"}
    operations = {path: methods["get"] for path, methods in whole["paths"].items()}
    assert [each["operationId"] for each in operations.values()] == ["read", "jobs_read", "metadata_read"]
    content = operations["/c"]["responses"]["200"]["content"]["application/json"]
    assert content["schema"]["$ref"] == "#/components/schemas/MetadataThing"


def test_what_the_way_to_a_service_adds_is_stated_by_the_gateway() -> None:
    documents = {"jobs": document({"/b": "read"})}
    whole = united(empty(), surface.public(documents, []), documents)
    down = whole["paths"]["/b"]["get"]["responses"]["503"]["content"]["application/problem+json"]["examples"]
    assert down["service_unavailable"]["value"]["service"] == "gateway"
