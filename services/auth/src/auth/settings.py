"""Settings of the auth service."""

from pydantic import Field, SecretStr, field_validator

from common.settings import BrokerSettings, DatabaseSettings, InternalSettings, ServiceSettings

from .credentials.names import proper
from .credentials.rules import MIN_LENGTH as MIN_PASSWORD

MIN_SECRET_KEY = 32


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, InternalSettings):
    """Settings of the auth service; every field is an environment variable of the same name in capitals."""

    secret_key: SecretStr = Field(
        description="Encrypts the signing keys in the database; at least 32 characters.",
        examples=["an example that is never used to encrypt anything"],
    )
    token_issuer: str = Field(default="verbatim", description="Issuer that access tokens name.")
    token_audience: str = Field(default="verbatim", description="Audience that access tokens name.")
    access_token_expire_minutes: int = Field(
        default=60, ge=1, le=24 * 60, description="Lifetime of an access token in minutes."
    )
    session_idle_days: int = Field(default=30, ge=1, le=366, description="Days without use after which a session ends.")
    session_days: int = Field(default=90, ge=1, le=3660, description="Days after which a session ends in any case.")
    signing_key_days: int = Field(
        default=90, ge=1, description="Days after which the signing key is replaced automatically."
    )
    allow_registration: bool = Field(default=False, description="Whether visitors may register an account.")

    admin_username: str | None = Field(default=None, max_length=150, description="Name of the first administrator.")
    admin_password: SecretStr | None = Field(
        default=None, description="Password of the first administrator; used once."
    )
    auth_username: str | None = Field(default=None, max_length=150, description="Deprecated name of ADMIN_USERNAME.")
    auth_password: SecretStr | None = Field(default=None, description="Deprecated name of ADMIN_PASSWORD.")

    login_attempts: int = Field(
        default=10, ge=1, description="Failed logins allowed per user and address within the window."
    )
    login_attempts_per_address: int = Field(
        default=100, ge=1, description="Failed logins allowed per address for all users together."
    )
    login_window_seconds: int = Field(
        default=300, ge=1, description="Length of the window in which failures are counted."
    )
    password_hash_concurrency: int = Field(
        default=2, ge=1, le=64, description="Passwords hashed at the same time; each takes 46 MiB."
    )
    audit_retention_days: int = Field(default=365, ge=1, description="Days for which audit records are kept.")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < MIN_SECRET_KEY:
            raise ValueError(
                f"must have at least {MIN_SECRET_KEY} characters; create one with: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
            )
        return value

    @field_validator("admin_username", "auth_username")
    @classmethod
    def _readable_name(cls, value: str | None) -> str | None:
        return None if value is None else proper(value)

    @field_validator("admin_password", "auth_password")
    @classmethod
    def _password_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < MIN_PASSWORD:
            raise ValueError(f"must have at least {MIN_PASSWORD} characters; leave it out to have one generated")
        return value

    @property
    def first_admin_username(self) -> str:
        """Name of the account that the first start creates."""
        return self.admin_username or self.auth_username or "admin"

    @property
    def first_admin_password(self) -> SecretStr | None:
        """Its password; None: generate one."""
        return self.admin_password or self.auth_password

    def deprecated_in_use(self) -> list[tuple[str, str]]:
        """Pairs (old variable, new variable) for the deprecated variables that are set."""
        pairs = (("auth_username", "ADMIN_USERNAME"), ("auth_password", "ADMIN_PASSWORD"))
        return [(old.upper(), new) for old, new in pairs if getattr(self, old) is not None]
