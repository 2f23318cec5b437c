"""Settings of the gateway."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from common.settings import BrokerSettings, IdentitySettings, InternalSettings, ServiceSettings, StorageSettings
from models.languages import UnknownLanguage, language_code

GIB = 1024**3


class Settings(ServiceSettings, BrokerSettings, StorageSettings, IdentitySettings, InternalSettings):
    """Settings of the gateway; every field is an environment variable of the same name in capitals.

    JWKS_URL is optional: by default it is derived from AUTH_URL.
    """

    auth_url: str = Field(examples=["http://127.0.0.1:8001"], description="Address of the auth service.")
    jobs_url: str = Field(examples=["http://127.0.0.1:8002"], description="Address of the jobs service.")
    metadata_url: str = Field(examples=["http://127.0.0.1:8003"], description="Address of the metadata service.")
    cleanup_url: str = Field(examples=["http://127.0.0.1:8004"], description="Address of the cleanup service.")
    upstream_timeout: float = Field(default=30.0, gt=0, description="Seconds until a request to a service times out.")
    api_health_timeout: float = Field(default=3.0, gt=0, description="Seconds until the checks of /health time out.")

    max_upload_size: int = Field(default=2 * GIB, ge=1, description="Largest recording, in bytes.")
    upload_idle_timeout: float = Field(default=60.0, gt=0, description="Seconds without data that abort an upload.")
    upload_expiry_hours: float = Field(
        default=24.0,
        gt=0,
        description="Hours to finish a resumable upload; at most cleanup's ORPHAN_AGE_HOURS, when parts are deleted.",
    )
    whisper_language: str = Field(
        default="auto", description="Language of uploads that name none: an ISO 639 code, or `auto`."
    )

    cors_origins: str = Field(default="", description="Allowed origins by commas, or * for all; empty = none.")
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of proxies whose X-Forwarded-For is trusted, separated by commas;"
        " empty = none.",
    )
    web_dir: Path | None = Field(default=None, description="Folder of the built web page.")
    logins_per_minute: int = Field(default=60, ge=1, description="Requests to /token per minute and address.")
    requests_per_minute: int = Field(
        default=1200, ge=0, description="Requests per minute and user, at each replica; 0 = unlimited."
    )
    requests_per_minute_per_address: int = Field(
        default=3000,
        ge=0,
        description="The same per address, without a valid token; 0 = unlimited.",
    )
    rate_limits_exempt_admins: bool = Field(
        default=True, description="Whether administrators are exempt from the limits per user."
    )
    streams_per_user: int = Field(
        default=100,
        ge=0,
        description="Event streams and log sockets that one user may have open at each replica; 0 = unlimited.",
    )
    uploads_per_user: int = Field(
        default=200, ge=0, description="Uploads that one user may send at once to each replica; 0 = unlimited."
    )
    log_viewers: int = Field(default=2000, ge=1, description="Log viewers that may be connected to each replica.")
    log_viewer_buffer: int = Field(
        default=5000, ge=1, description="Records a viewer may lag behind; more disconnects it."
    )

    @model_validator(mode="before")
    @classmethod
    def _jwks_of_auth(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("jwks_url") and values.get("auth_url"):
            return values | {"jwks_url": f"{values['auth_url'].rstrip('/')}/.well-known/jwks.json"}
        return values

    @field_validator("whisper_language")
    @classmethod
    def _language(cls, value: str) -> str:
        try:
            return "auto" if value.lower() == "auto" else language_code(value)
        except UnknownLanguage:
            raise ValueError("use an ISO 639 code such as en, or auto to have it detected") from None

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in _items(value):
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path):
                raise ValueError(f"{origin!r} is not an origin: write scheme://host[:port], or * for all")
        return value

    @property
    def upload_lifetime(self) -> timedelta:
        """UPLOAD_EXPIRY_HOURS as a duration."""
        return timedelta(hours=self.upload_expiry_hours)

    @property
    def allowed_origins(self) -> list[str]:
        """CORS_ORIGINS as a list."""
        return _items(self.cors_origins)

    @property
    def proxies(self) -> list[str]:
        """TRUSTED_PROXIES as a list."""
        return _items(self.trusted_proxies)


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
