"""Bodies of auth's HTTP interface."""

from typing import Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr


class LoginForm(BaseModel):
    """The OAuth2 password form (RFC 6749 §4.3.2)."""

    grant_type: Literal["password"] = "password"
    username: str = Field(min_length=1, max_length=150)
    password: SecretStr = Field(min_length=1, max_length=1024)


class Token(BaseModel):
    """An access token; `expires_in` counts seconds."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"access_token": "eyJ…", "token_type": "bearer", "expires_in": 3600}]}
    )

    access_token: str
    token_type: Literal["bearer"] = Field(default="bearer")
    expires_in: int


class Me(BaseModel):
    """Who the bearer of a token is."""

    user_id: UUID = Field(validation_alias=AliasChoices("id", "user_id"))
    username: str
    role: Literal["admin", "user"]


class Jwk(BaseModel):
    """An Ed25519 public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class Jwks(BaseModel):
    """Every key that a valid token may be signed with (RFC 7517)."""

    keys: list[Jwk]
