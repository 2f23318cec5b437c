"""Settings of the metadata service."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings, StorageSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, StorageSettings, IdentitySettings):
    """Environment variables of the process."""

    keyword_limit: int = Field(default=12, ge=1, le=100, description="Keywords stored of each transcript.")
    summary_sentences: int = Field(
        default=5, ge=0, le=50, description="Sentences of a transcript in its summary; 0: no summary."
    )
    enrichment_tries: int = Field(default=6, ge=1, description="Tries before an enrichment or an analysis fails.")
    enrichment_lease_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds without renewal after which another worker may lease an unfinished row.",
    )
    enrichment_retry_seconds: float = Field(
        default=2.0, gt=0, description="Seconds before the second try; doubled before each later try."
    )
    enrichment_poll_seconds: float = Field(
        default=2.0, gt=0, description="Seconds between two polls of the table without a notification."
    )

    openai_api_key: SecretStr | None = Field(
        default=None,
        description="API key of the language model that analyses transcripts on request; unset: no analysis.",
    )
    openai_base_url: str = Field(
        default="https://api.openai.com/v1",
        description="Server with OpenAI's API of chat completions, possibly a local one; transcripts are sent to it.",
    )
    openai_model: str = Field(default="gpt-4o-mini", min_length=1, description="Name of the language model.")
    openai_timeout_seconds: float = Field(
        default=120.0, gt=0, description="Longest duration of one request in seconds."
    )
    openai_retries: int = Field(
        default=2, ge=0, le=10, description="Immediate retries of a request after a 429, a 5xx or a lost connection."
    )
    openai_input_tokens: int = Field(
        default=12_000,
        ge=500,
        description="Tokens of transcript in one request, about 3 bytes each; longer ones are sent in parts.",
    )
    openai_output_tokens: int = Field(default=2_000, ge=200, description="Longest response in tokens.")
    openai_max_parts: int = Field(
        default=60, ge=1, description="Most parts of a transcript; a longer one is not analysed."
    )

    analyses_per_day: int = Field(
        default=200,
        ge=0,
        description="Analyses that one user may request in a day (UTC), repeated ones included; 0: any number.",
    )
    analyses_exempt_admins: bool = Field(
        default=True, description="Whether administrators are exempt from the limit of analyses."
    )

    @field_validator("openai_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("write http://host[:port]/v1, or https://")
        return value.rstrip("/")

    def analyses_allowed(self, *, is_admin: bool) -> int:
        """Analyses that a user may request in a day; 0: any number."""
        return 0 if is_admin and self.analyses_exempt_admins else self.analyses_per_day
