"""Signing keys: Ed25519 pairs whose private half is stored only sealed under SECRET_KEY."""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import SecretKeyMismatch
from .tables import SigningKey

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that is ready to sign, with the id that names it in a token's header."""

    kid: str
    key: Ed25519PrivateKey


class Vault:
    """Seals and opens private keys with a key derived from SECRET_KEY (HKDF-SHA256, AES-256-GCM)."""

    def __init__(self, secret_key: str) -> None:
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"verbatim auth signing keys v1")
        self._cipher = AESGCM(derive.derive(secret_key.encode()))

    def generate(self) -> SigningKey:
        """A new key pair as a row; the private half leaves this function sealed."""
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        kid = thumbprint(public)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, private.private_bytes_raw(), kid.encode())
        return SigningKey(kid=kid, public_key=public, sealed_key=sealed)

    def open(self, row: SigningKey) -> Signer:
        """The private key of a row; raises SecretKeyMismatch when it was sealed under another SECRET_KEY."""
        nonce, sealed = row.sealed_key[:NONCE_BYTES], row.sealed_key[NONCE_BYTES:]
        try:
            private = self._cipher.decrypt(nonce, sealed, row.kid.encode())
        except InvalidTag as error:
            raise SecretKeyMismatch(
                f"signing key {row.kid} was stored under another SECRET_KEY; start auth with the old one, "
                "or delete the rows of signing_keys to make a new key (every token becomes invalid)"
            ) from error
        return Signer(kid=row.kid, key=Ed25519PrivateKey.from_private_bytes(private))


def jwks(rows: Iterable[SigningKey]) -> dict[str, list[dict[str, Any]]]:
    """The public halves as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    return {"keys": [_members(row.public_key) | {"kid": row.kid, "use": "sig", "alg": "EdDSA"} for row in rows]}


def thumbprint(public_key: bytes) -> str:
    """The RFC 7638 thumbprint, which names the key."""
    canonical = json.dumps(_members(public_key), sort_keys=True, separators=(",", ":")).encode()
    return _base64url(hashlib.sha256(canonical).digest())


def _members(public_key: bytes) -> dict[str, Any]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
