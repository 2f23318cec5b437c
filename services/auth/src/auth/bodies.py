"""A body that may come as a form or as JSON, which FastAPI cannot declare by itself."""

import json
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from .schemas import RefreshRequest

_SCHEMA = RefreshRequest.model_json_schema()
REFRESH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA},
            "application/x-www-form-urlencoded": {"schema": _SCHEMA},
        },
    }
}


async def refresh_request(request: Request) -> RefreshRequest:
    """The refresh token in the body; raises RequestValidationError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        data = json.loads(await request.body()) if kind == "application/json" else dict(await request.form())
    except ValueError as error:
        wrong = {"type": "json_invalid", "loc": ("body",), "msg": "the body is not valid JSON", "input": None}
        raise RequestValidationError([wrong]) from error
    try:
        return RefreshRequest.model_validate(data)
    except ValidationError as error:
        raise RequestValidationError(
            [{**wrong, "loc": ("body", *wrong["loc"])} for wrong in error.errors(include_url=False)]
        ) from error
