"""Certificates for tests: of a private authority, one in between, and servers, good at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate, as files have it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key(self) -> str:
        """The key, as files have it."""
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.private.private_bytes(*form).decode()


def _usage(authority: bool) -> x509.KeyUsage:
    """As RFC 5280 wants it, and Python since 3.13."""
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    authority: bool = False,
    days: tuple[float, float] = (-1, 90),
    key: str = "",
    names: tuple[str, ...] | None = None,
) -> Issued:
    """A certificate for ``name``, good from and to these days from now.

    ``issuer`` signs it, or it signs itself. ``key`` is one to use again. ``names`` are those in its
    subjectAltName, by default ``name``.
    """
    private = load_pem_private_key(key.encode(), None) if key else None
    private = private or ec.generate_private_key(ec.SECP256R1())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.private if issuer else private
    begin, end = (datetime.now(UTC) + timedelta(days=each) for each in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
        .add_extension(_usage(authority), critical=True)
    )
    if not authority and names != ():
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names or [name]])
        builder = builder.add_extension(alternatives, critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), private)


ROOT = issue("Root", authority=True, days=(-100, 3000))
BETWEEN = issue("Between", ROOT, authority=True, days=(-100, 3000))
