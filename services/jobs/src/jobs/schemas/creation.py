"""HTTP bodies of the creation of jobs."""

import re
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from common.events import JobOptions
from jobs.scheduling.fairness import Priority
from models.languages import language_code, language_for

from .jobs import JobView
from .listing import normalized_tag, normalized_text

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")

Storable = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(normalized_text)]


def _web_address(value: str) -> str:
    """Check a URL for callbacks; it is stored and not called by this service."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or _UNPRINTABLE.search(value):
        raise ValueError("must be an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    return value


Tag = Annotated[str, Field(max_length=64), AfterValidator(normalized_tag)]
WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(_web_address)]


class Choices(BaseModel):
    """The choices for a recording, for every kind of upload; all have defaults."""

    model_config = ConfigDict(frozen=True)

    options: JobOptions = JobOptions()
    priority: Priority = "normal"
    tags: list[Tag] = Field(default=[], max_length=20)
    callback_url: WebAddress | None = None

    @field_validator("options")
    @classmethod
    def _possible_options(cls, value: JobOptions) -> JobOptions:
        texts = {name: getattr(value, name) for name in ("initial_prompt", "hotwords")}
        value = value.model_copy(
            update={name: normalized_text(text) for name, text in texts.items() if text is not None}
        )
        if value.language is None:
            return value
        # A client may choose the language before the model.
        known = partial(language_for, value.model) if "model" in value.model_fields_set else language_code
        return value.model_copy(update={"language": known(value.language)})

    @field_validator("tags")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class NewJob(Choices):
    """A stored recording to transcribe."""

    job_id: UUID
    file_name: Storable
    content_type: Storable
    size_bytes: int = Field(ge=0, lt=2**63)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source_key: Storable


class Claim(BaseModel):
    """A claim on an Idempotency-Key; `holder` identifies the request, so that its retries inside the platform match."""

    key: str = Field(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")
    holder: UUID


class FulfilledClaim(Claim):
    """A claim with a fingerprint of the request body."""

    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")


class Reservation(BaseModel):
    """The result of a claim: leased for a minute, leased to another request, or answered before."""

    state: Literal["held", "in_flight", "answered"]
    fingerprint: str | None = None
    answer: dict[str, Any] | None = None


class NewJobs(BaseModel):
    """The recordings of one upload."""

    jobs: list[NewJob] = Field(min_length=1, max_length=100)
    claim: FulfilledClaim | None = None


class Admission(BaseModel):
    """A planned upload, as far as it is known before the first byte."""

    jobs: int = Field(default=1, ge=1, le=100)
    size_bytes: int = Field(default=0, ge=0, lt=2**63)
    choices: str = Field(default="{}", max_length=32_768, description="The choices so far, as JSON.")

    @field_validator("choices")
    @classmethod
    def _possible_choices(cls, value: str) -> str:
        try:
            Choices.model_validate_json(value)
        except ValidationError as error:
            found = (
                f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors()
            )
            raise ValueError("; ".join(found)) from error
        return value

    @property
    def chosen(self) -> Choices:
        """The parsed choices."""
        return Choices.model_validate_json(self.choices)


class NewUpload(Choices):
    """A new resumable upload, under the id of its later job; it expires after its lifetime."""

    job_id: UUID
    size_bytes: int = Field(ge=0, lt=2**63)
    lifetime_seconds: float = Field(gt=0, le=366 * 86_400)


class CreatedJobs(BaseModel):
    """The jobs of an upload, in the order of its files."""

    items: list[JobView]
