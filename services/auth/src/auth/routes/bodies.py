"""Request bodies in form or JSON format, which FastAPI cannot declare."""

import json
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from auth.schemas.public import LogoutRequest, RefreshRequest

Body = TypeVar("Body", bound=BaseModel)


def _described(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    schema = {"schema": model.model_json_schema()}
    content = {"application/json": schema, "application/x-www-form-urlencoded": schema}
    return {"requestBody": {"required": required, "content": content}}


REFRESH_BODY = _described(RefreshRequest, required=True)
LOGOUT_BODY = _described(LogoutRequest, required=False)


async def refresh_request(request: Request) -> RefreshRequest:
    """The refresh token in the body; raises RequestValidationError."""
    return await _parsed(request, RefreshRequest)


async def logout_request(request: Request) -> LogoutRequest:
    """The optional refresh token in the body; raises RequestValidationError."""
    return await _parsed(request, LogoutRequest)


async def _parsed(request: Request, model: type[Body]) -> Body:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        data = json.loads(await request.body() or b"{}") if kind == "application/json" else dict(await request.form())
    except (ValueError, RecursionError) as error:
        wrong = {"type": "json_invalid", "loc": ("body",), "msg": "the body is not valid JSON", "input": None}
        raise RequestValidationError([wrong]) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise RequestValidationError(
            [{**wrong, "loc": ("body", *wrong["loc"])} for wrong in error.errors(include_url=False)]
        ) from error
