"""One certificate and key of a state folder, by which the object store's own parts recognise each other."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .state import write_private

# It never leaves the machine and its folder is its only trust anchor: it lasts as long as the folder does.
_FROM, _UNTIL = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


def ensure(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for 127.0.0.1 and its private key, unless both exist."""
    if certificate.is_file() and key.is_file():
        return
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "verbatim object store")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number(), _FROM, _UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    unencrypted = serialization.NoEncryption()
    write_private(key, private.private_bytes(pem, serialization.PrivateFormat.PKCS8, unencrypted).decode())
    write_private(certificate, signed.public_bytes(pem).decode())


def client_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The TLS settings of a client that shows this certificate and trusts nothing else."""
    context = ssl.create_default_context(cafile=certificate)
    context.load_cert_chain(certificate, key)
    return context
