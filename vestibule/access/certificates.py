"""Certificates of a server, as those see them who connect: browsers, telephones, Java."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import certifi
from ansible.module_utils.vestibule.certificates import Unusable, blocks, day, der, unusable
from ansible.module_utils.vestibule.certificates import trusting as trusting_text

SOON = 30 * 86400  # seconds before a certificate ends
_STAND_IN = (
    "shows a certificate that it signed itself, a stand-in: browsers warn of it, and telephones"
    " refuse it. Set jitsi_certificate to acme or files."
)
_PRIVATE = (
    "shows a certificate of a private authority. Everybody who joins has to trust"
    " jitsi_web_certificate_authority as well."
)


class NoCertificate(Exception):
    """What was given as a certificate is none."""


def trusting(certificates: str | None) -> ssl.SSLContext:
    """A client that trusts these certificates in PEM form, or whom browsers trust.

    It takes names where browsers take them, and fetches nothing that a server does not send. Raises
    NoCertificate.
    """
    if certificates is not None:
        try:
            return trusting_text(certificates)
        except (ssl.SSLError, TypeError, ValueError):
            raise NoCertificate from None
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.hostname_checks_common_name = False
    trust.load_verify_locations(certifi.where())
    trust.load_default_certs()  # with those whom this organisation trusts
    return trust


def shown(
    domain: str, address: str, port: int, patience: float, trust: ssl.SSLContext
) -> tuple[bytes, float]:
    """The certificate that a server shows, and when it ends. Raises OSError."""
    with (
        socket.create_connection((address, port), patience) as plain,
        trust.wrap_socket(plain, server_hostname=domain) as secured,
    ):
        own = secured.getpeercert() or {}
        certificate = secured.getpeercert(binary_form=True) or b""
        return certificate, ssl.cert_time_to_seconds(str(own["notAfter"])) if own else 0.0


def shown_to_anybody(domain: str, address: str, port: int, patience: float) -> bytes:
    """The certificate that a server shows, whoever signed it. Raises OSError."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    return shown(domain, address, port, patience, trust)[0]


@dataclass(frozen=True)
class Front:
    """What is known of the certificate at the front door, beside the door: nobody can change it."""

    path: str
    chain: str  # the text of its file, empty where that was not read
    trusted: str | None  # the certificates to trust in PEM form, None for whom browsers trust
    self_signed: bool = False

    @property
    def leaf(self) -> bytes:
        """The server's own certificate in DER form, empty where the file was not read."""
        return der(self.chain)


def front(settings: Mapping[str, Any], seen: Mapping[str, Any]) -> Front:
    """What the host told of the front door's certificate. Raises NoCertificate."""
    path = settings["certificate_path"]
    if settings["certificate"]:
        return Front(path, "", settings["certificate"])
    chain = seen[path]["chain"]
    if not settings["self_signed"]:
        return Front(path, chain, seen[path]["authority"])
    if not blocks(chain):
        raise NoCertificate
    return Front(path, chain, blocks(chain)[0], self_signed=True)


def why_refused(
    error: OSError, door: Front, domain: str, address: str, port: int, patience: float
) -> str:
    """The sentences for clients that refuse what the front door shows; empty for other errors."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ""
    if door.leaf and shown_to_anybody(domain, address, port, patience) != door.leaf:
        why = Unusable(f"is another one than in {door.path}", "Reload nginx.")
    else:
        why = unusable(error, domain, door.chain, door.trusted)
    return f"The certificate that {domain} shows {why.why}. {why.remedy}"


def findings(seen: Mapping[str, Mapping[str, Any]], inner: list[str]) -> Iterator[str]:
    """Sentences about what keeps Jicofo or machines from logging in, or soon will."""
    for path in inner:
        certificate = seen[path]
        if certificate["problem"]:
            yield certificate["problem"]
        elif certificate["ends"] is None:
            yield f"{path} is not there. Run playbooks/site.yml, which makes it."
        elif certificate["ends"] < time.time():
            yield (
                f"{path} has ended on {day(certificate['ends'])}. Run playbooks/site.yml, which"
                " renews it."
            )
        elif certificate["shown"] is False:
            yield (
                f"Prosody shows another certificate for {certificate['name']} than {path}, which"
                " nobody trusts any more. Run playbooks/site.yml, or systemctl reload prosody."
            )
        elif certificate["in_java"] is False:
            yield (
                f"Java does not trust {path}, so Jicofo could not log in again. Run"
                " playbooks/site.yml."
            )


def warnings(ends: Mapping[str, float], door: Front, domain: str) -> Iterator[str]:
    """Sentences about what is no fault yet. ``ends`` are times by what ends then."""
    for what, when in ends.items():
        if time.time() < when < time.time() + SOON:
            yield f"{what} ends on {day(when)}. Renew it; playbooks/site.yml renews its own."
    if door.self_signed:
        yield f"{domain} {_STAND_IN}"
    elif door.chain and door.trusted is not None:
        yield f"{domain} {_PRIVATE}"
