"""Ed25519 key pairs whose private key is stored encrypted under SECRET_KEY."""

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

from auth.errors import SecretKeyMismatch
from auth.tables import SigningKey

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Signer:
    """A decrypted private key, and the id that token headers name."""

    kid: str
    key: Ed25519PrivateKey


class Vault:
    """Encrypts and decrypts private keys with a key derived from SECRET_KEY (HKDF-SHA256, AES-256-GCM)."""

    def __init__(self, secret_key: str) -> None:
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"verbatim auth signing keys v1")
        self._cipher = AESGCM(derive.derive(secret_key.encode()))

    def generate(self) -> SigningKey:
        """A new key pair as a row, the private key encrypted."""
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        kid = thumbprint(public)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, private.private_bytes_raw(), kid.encode())
        return SigningKey(kid=kid, public_key=public, sealed_key=sealed)

    def open(self, row: SigningKey) -> Signer:
        """Decrypt the private key of a row; raises SecretKeyMismatch if it was encrypted under another SECRET_KEY."""
        nonce, sealed = row.sealed_key[:NONCE_BYTES], row.sealed_key[NONCE_BYTES:]
        try:
            private = self._cipher.decrypt(nonce, sealed, row.kid.encode())
        except InvalidTag as error:
            raise SecretKeyMismatch(
                f"signing key {row.kid} was encrypted under another SECRET_KEY: start auth with the previous one, "
                "or delete the rows of the table signing_keys to create a new key (every token becomes invalid)"
            ) from error
        return Signer(kid=row.kid, key=Ed25519PrivateKey.from_private_bytes(private))


def jwks(rows: Iterable[SigningKey]) -> dict[str, list[dict[str, Any]]]:
    """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
    return {"keys": [_members(row.public_key) | {"kid": row.kid, "use": "sig", "alg": "EdDSA"} for row in rows]}


def thumbprint(public_key: bytes) -> str:
    """The RFC 7638 thumbprint, which is the id of the key."""
    canonical = json.dumps(_members(public_key), sort_keys=True, separators=(",", ":")).encode()
    return _base64url(hashlib.sha256(canonical).digest())


def _members(public_key: bytes) -> dict[str, Any]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
