"""Settings of the metadata service."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from common.settings import BrokerSettings, DatabaseSettings, IdentitySettings, ServiceSettings, StorageSettings


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, StorageSettings, IdentitySettings):
    """Everything the process reads from its environment."""

    keyword_limit: int = Field(default=12, ge=1, le=100, description="Keywords kept of each transcript.")
    summary_sentences: int = Field(
        default=5, ge=0, le=50, description="Sentences of a transcript quoted as its summary; 0 = no summary."
    )
    enrichment_tries: int = Field(
        default=6, ge=1, description="Tries before a transcript goes on without metadata, or an analysis is given up."
    )
    enrichment_lease_seconds: float = Field(
        default=120.0, gt=0, description="Seconds after which an unfinished try is another worker's: its process died."
    )
    enrichment_retry_seconds: float = Field(
        default=2.0, gt=0, description="Seconds before the second try; each later one waits twice as long."
    )
    enrichment_poll_seconds: float = Field(
        default=2.0, gt=0, description="Seconds between looks at the table when nothing rings."
    )

    openai_api_key: SecretStr | None = Field(
        default=None,
        description="Key of the language model that analyses transcripts on request; left out: no analysis.",
    )
    openai_base_url: str = Field(
        default="https://api.openai.com/v1",
        description="Any server that speaks OpenAI's chat completions, also a local one; transcripts are sent there.",
    )
    openai_model: str = Field(default="gpt-4o-mini", min_length=1, description="The language model.")
    openai_timeout_seconds: float = Field(default=120.0, gt=0, description="Seconds that one answer may take.")
    openai_retries: int = Field(
        default=2, ge=0, le=10, description="Repetitions of a request at once, after a 429, a 5xx or a lost connection."
    )
    openai_input_tokens: int = Field(
        default=12_000,
        ge=500,
        description="Tokens of transcript in one request, about 3 bytes of text each; longer ones are read in parts.",
    )
    openai_output_tokens: int = Field(default=2_000, ge=200, description="Tokens that one answer may have.")
    openai_max_parts: int = Field(
        default=60, ge=1, description="Parts that a transcript may be read in; a longer one is not analysed."
    )

    analyses_per_day: int = Field(
        default=200,
        ge=0,
        description="Analyses that one user may ask for in a day (UTC), repeated ones included; 0 = any number.",
    )
    analyses_exempt_admins: bool = Field(
        default=True, description="Whether the limit of analyses leaves administrators alone."
    )

    @field_validator("openai_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("write http://host[:port]/v1, or https://")
        return value.rstrip("/")

    def analyses_allowed(self, *, is_admin: bool) -> int:
        """Analyses that a user may ask for in a day; 0 = any number."""
        return 0 if is_admin and self.analyses_exempt_admins else self.analyses_per_day
