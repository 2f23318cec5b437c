"""Signing keys are stored encrypted only."""

import base64

import pytest

from auth.errors import SecretKeyMismatch
from auth.keys.vault import Vault, jwks, thumbprint

SECRET = "s" * 40


def test_key_is_decrypted_with_the_same_secret_only() -> None:
    row = Vault(SECRET).generate()
    signer = Vault(SECRET).open(row)
    assert signer.kid == row.kid
    assert signer.key.public_key().public_bytes_raw() == row.public_key
    assert signer.key.private_bytes_raw() not in row.sealed_key
    with pytest.raises(SecretKeyMismatch, match=row.kid):
        Vault("t" * 40).open(row)


def test_encrypted_key_cannot_be_moved_to_another_row() -> None:
    vault = Vault(SECRET)
    row, other = vault.generate(), vault.generate()
    row.sealed_key = other.sealed_key
    with pytest.raises(SecretKeyMismatch):
        vault.open(row)


def test_key_set_has_public_keys_only() -> None:
    row = Vault(SECRET).generate()
    (key,) = jwks([row])["keys"]
    assert base64.urlsafe_b64decode(key.pop("x") + "=") == row.public_key
    assert key == {"kty": "OKP", "crv": "Ed25519", "kid": row.kid, "use": "sig", "alg": "EdDSA"}


def test_thumbprint_is_the_one_of_rfc_8037() -> None:
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert thumbprint(public) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
