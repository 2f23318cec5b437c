"""What the gateway can be told through its environment."""

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

    JWKS_URL may be left out: it follows from AUTH_URL.
    """

    auth_url: str = Field(examples=["http://127.0.0.1:8001"], description="Where the auth service is.")
    jobs_url: str = Field(examples=["http://127.0.0.1:8002"], description="Where the jobs service is.")
    metadata_url: str = Field(examples=["http://127.0.0.1:8003"], description="Where the metadata service is.")
    cleanup_url: str = Field(examples=["http://127.0.0.1:8004"], description="Where the cleanup service is.")
    upstream_timeout: float = Field(default=30.0, gt=0, description="Seconds that a service may take to answer.")
    api_health_timeout: float = Field(default=3.0, gt=0, description="Seconds within which /health answers.")

    max_upload_size: int = Field(default=2 * GIB, ge=1, description="Largest recording, in bytes.")
    upload_idle_timeout: float = Field(default=60.0, gt=0, description="Seconds without a byte that end an upload.")
    upload_expiry_hours: float = Field(
        default=24.0,
        gt=0,
        description="Time to finish a resumable upload; at most cleanup's ORPHAN_AGE_HOURS, when parts are taken back.",
    )
    whisper_language: str = Field(
        default="auto", description="Language of recordings whose upload names none: an ISO 639 code, or `auto`."
    )

    cors_origins: str = Field(default="", description="Origins by commas, or * for all; empty allows none.")
    trusted_proxies: str = Field(
        default="", description="Addresses or networks whose X-Forwarded-For is believed, by commas; empty = none."
    )
    web_dir: Path | None = Field(default=None, description="Folder of the built web page.")
    logins_per_minute: int = Field(default=60, ge=1, description="Requests to /token per minute and address.")
    requests_per_minute: int = Field(
        default=1200, ge=0, description="Requests per minute and user, at each replica; 0 = any number."
    )
    requests_per_minute_per_address: int = Field(
        default=3000, ge=0, description="The same per address, of requests without a valid token; 0 = any number."
    )
    rate_limits_exempt_admins: bool = Field(
        default=True, description="Whether the limits per user leave administrators alone."
    )
    streams_per_user: int = Field(
        default=100,
        ge=0,
        description="Event streams and log sockets that one user may have open at each replica; 0 = any number.",
    )
    uploads_per_user: int = Field(
        default=200, ge=0, description="Uploads that one user may send at once to each replica; 0 = any number."
    )
    log_viewers: int = Field(default=2000, ge=1, description="Live log viewers at once on this replica.")
    log_viewer_buffer: int = Field(default=5000, ge=1, description="Records a viewer may lag behind; more drops it.")

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
                raise ValueError(f"{origin!r} is no origin; write scheme://host[:port], or * for all")
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
