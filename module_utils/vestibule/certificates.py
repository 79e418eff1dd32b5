"""What is in files of certificates, what is wrong with it, and what programs show of it.

Everything is asked of OpenSSL, by handshakes in memory: one side sends what a server would send of
these files, the other verifies it as a client would. So nothing here reads certificates by itself,
and the program openssl need not be installed.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
import time
from typing import Any

from ansible.module_utils.vestibule.sockets import reachable

ROOTS = "/etc/ssl/certs/ca-certificates.crt"  # of the authorities that this system trusts
_PRIVATE = (
    "Where the authority is your own, name its root in jitsi_web_certificate_authority; all who"
    " join have to trust it, too."
)
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which Python has no name
_PATIENCE = 3  # seconds for a program on this host
_BLOCK = re.compile(
    r"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----.*?-----END \1-----", re.DOTALL
)
_JKS = b"\xfe\xed\xfe\xed"  # how a store of Java begins that has its certificates in the clear


class Unusable(Exception):
    """Why these files cannot be used, and what to do. The words fit behind "which"."""

    def __init__(self, why: str, remedy: str, *, about_key: bool = False) -> None:
        super().__init__(why)
        self.why, self.remedy, self.about_key = why, remedy, about_key


def blocks(text: str) -> list[str]:
    """The certificates in a text, in PEM form."""
    return [found.group() for found in _BLOCK.finditer(text)]


def der(text: str) -> bytes:
    """The first certificate of a text, empty where there is none."""
    found = blocks(text)
    return ssl.PEM_cert_to_DER_cert(found[0]) if found else b""


def authorities(text: str) -> list[dict[str, Any]]:
    """What the certificates of authorities in a text say, as `ssl.SSLSocket.getpeercert` has it."""
    if not text:
        return []
    store = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    store.load_verify_locations(cadata=text)
    return list(store.get_ca_certs())


def roots(text: str) -> str:
    """Those of a text that sign themselves, or all where none does.

    An authority that others signed is for the server to send. Were it trusted here, nobody would
    notice that it is not sent.
    """
    own = [
        each
        for each in blocks(text)
        if any(ca["issuer"] == ca["subject"] for ca in authorities(each))
    ]
    return "".join(f"{each}\n" for each in own) or text


def trusting(text: str | None) -> ssl.SSLContext:
    """A client that trusts the certificates of a text, or those whom this system trusts.

    It takes names where browsers and Java take them. Raises ssl.SSLError where the text has none.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.hostname_checks_common_name = False
    if text is None:
        client.load_verify_locations(cafile=ROOTS)
    else:
        client.load_verify_locations(cadata=text)
        # What the operator named is trusted as it is, whoever signed it
        client.verify_flags |= 0x80000  # X509_V_FLAG_PARTIAL_CHAIN, a name since Python 3.10
    return client


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """The client's side of a connection, in memory. Raises ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(back, there, server_hostname=name)
    answers = server.wrap_bio(there, back, server_side=True)
    for _ in range(10):
        waiting = 0
        for side in (asks, answers):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return asks
    raise ssl.SSLError("no end of the handshake")


def read(path: str, remedy: str) -> bytes:
    """What a file holds. Raises Unusable."""
    if not os.path.isabs(path):
        raise Unusable("is no absolute path", "Write it from / on.")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        target = os.path.realpath(path)
        why = (
            f"is a link to {target}, and that is not there"
            if os.path.islink(path)
            else ("is not there")
        )
        raise Unusable(why, remedy) from None
    except IsADirectoryError:
        raise Unusable("is a folder", remedy) from None
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})", remedy) from None


def certificates_in(path: str) -> str:
    """The text of a file with a chain. Raises Unusable."""
    remedy = "Put the certificate chain there in PEM form, or name the file that has it."
    convert = f"openssl x509 -inform DER -in {path} -out FILE, then add the chain"
    text = _text(path, remedy, convert).decode("ascii", "replace")
    if blocks(text):
        return text
    if "CERTIFICATE REQUEST-----" in text:
        raise Unusable("is a request for a certificate, not the certificate", remedy)
    if "PKCS7-----" in text:
        remedy = f"Convert it: openssl pkcs7 -print_certs -in {path} -out FILE."
        raise Unusable("is PKCS #7", remedy)
    if "PRIVATE KEY-----" in text:
        raise Unusable("holds a key and no certificate", "Look whether the two are exchanged.")
    raise Unusable("holds no whole certificate in PEM form", remedy)


def check_key(path: str) -> None:
    """Look at a file with a key. Raises Unusable."""
    try:
        _check_key(path)
    except Unusable as found:
        found.about_key = True
        raise


def _check_key(path: str) -> None:
    remedy = "Put the key of the certificate there in PEM form, or name the file that has it."
    content = _text(path, remedy, f"openssl pkey -inform DER -in {path} -out FILE")
    if b"ENCRYPTED" in content:
        remedy = f"Take the passphrase off: openssl pkey -in {path} -out FILE, with mode 0600."
        raise Unusable("is encrypted, and nobody is there to type its passphrase", remedy)
    if b"OPENSSH PRIVATE KEY-----" in content:
        raise Unusable("is a key of OpenSSH", remedy)
    if b"PRIVATE KEY-----" not in content:
        if b"CERTIFICATE-----" in content:
            raise Unusable("holds a certificate and no key", "Look whether the two are exchanged.")
        raise Unusable("holds no key in PEM form", remedy)


def _text(path: str, remedy: str, convert: str) -> bytes:
    """What a file holds that is not ASN.1, which ``convert`` makes PEM of. Raises Unusable."""
    content = read(path, remedy)
    if content[:1] != b"\x30":
        return content
    if content[4:7] == b"\x02\x01\x03":
        unpack = (
            f"Convert it: openssl pkcs12 -in {path} -nokeys -out CHAIN, and"
            f" openssl pkcs12 -in {path} -nocerts -noenc -out KEY."
        )
        raise Unusable("is PKCS #12", unpack)
    raise Unusable("is in DER form, not PEM", f"Convert it: {convert}.")


def serving(path: str, key: str) -> ssl.SSLContext:
    """A server with these files. Raises Unusable."""
    text = certificates_in(path)
    check_key(key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        server.load_cert_chain(path, key, password=lambda: "none")
    except ssl.SSLError as error:
        if not error.reason:
            remedy = "Replace it."
            raise Unusable("is cut off or damaged", remedy, about_key=_loads(text)) from None
        if error.reason not in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            remedy = (
                "Look at both with openssl x509 -text and openssl pkey -text, and replace them."
            )
            raise Unusable(f"OpenSSL refuses ({error.reason or error})", remedy) from None
        others = blocks(text)[1:]
        if any(_fits(each, key) for each in others):
            remedy = "Put the server's own first, then each one before the one that signed it."
            raise Unusable("has its certificates in another order", remedy) from None
        remedy = f"Name the key that the certificate was made for. {key} is another one's."
        raise Unusable("was made for another key", remedy) from None
    return server


def _loads(text: str) -> bool:
    try:
        trusting("\n".join(blocks(text)))
    except ssl.SSLError:
        return False
    return True


def _fits(certificate: str, key: str) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(certificate)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, key)
        except ssl.SSLError:
            return False
    return True


def details(server: ssl.SSLContext, text: str, name: str) -> dict[str, Any]:
    """What the server's own certificate says, as `ssl.SSLSocket.getpeercert` has it.

    Raises Unusable where no client would take it, whatever the time and whomever it trusts.
    """
    client = trusting(blocks(text)[0])
    client.check_hostname = False
    client.verify_flags |= _NO_CHECK_TIME
    remedy = "Get a certificate for a server."
    try:
        return handshake(server, client, name).getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise Unusable(f"no client takes ({error.verify_message})", remedy) from None
    except ssl.SSLError as error:
        raise Unusable(f"OpenSSL refuses ({error.reason})", remedy) from None


def day(seconds: float) -> str:
    """A time as a day, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def ends(text: str, own: dict[str, Any]) -> float:
    """When a certificate ends, or that of the authority that signed it, in seconds since 1970.

    What stands behind these in a chain may have another way to an authority.
    """
    times = [each["notAfter"] for each in [own, *authorities("".join(blocks(text)[1:2]))]]
    return min(ssl.cert_time_to_seconds(each) for each in times)


def judge(server: ssl.SSLContext, text: str, name: str, trust: str | None) -> None:
    """Connect as a client that has no other reason to trust. Raises Unusable.

    ``trust`` are certificates in PEM form, or None for the authorities that this system trusts.
    """
    _connect(server, trusting(trust), text, name, trust)


def check_own(server: ssl.SSLContext, text: str, name: str, own: dict[str, Any]) -> None:
    """Look whether the server's own certificate is for the name, and counts. Raises Unusable."""
    end, begin = (ssl.cert_time_to_seconds(own[each]) for each in ("notAfter", "notBefore"))
    if end < time.time():
        raise Unusable(f"has ended on {day(end)}", "Renew it.")
    if begin > time.time():
        raise Unusable("begins in the future", "Set the clock, or take one that counts now.")
    client = trusting(blocks(text)[0])
    client.verify_flags |= _NO_CHECK_TIME  # of what stands behind it, and may not be needed
    _connect(server, client, text, name, text)


def _connect(
    server: ssl.SSLContext, client: ssl.SSLContext, text: str, name: str, trust: str | None
) -> None:
    try:
        handshake(server, client, name)
    except ssl.SSLCertVerificationError as error:
        raise unusable(error, name, text, trust) from None


def unusable(
    error: ssl.SSLCertVerificationError, name: str, text: str, trust: str | None
) -> Unusable:
    """What a client's refusal of a chain comes to (OpenSSL: x509_vfy.h)."""
    if error.verify_code in (2, 20, 21):
        return without_way(text, trust)
    if error.verify_code == 62:
        return Unusable(f"is not for {name}", f"Get one that has {name} as subjectAltName.")
    if error.verify_code == 10:
        return Unusable("has ended, or an authority in its chain has", "Renew it.")
    if error.verify_code == 9:
        return Unusable("begins in the future", "Set the clock, or take one that counts now.")
    if error.verify_code in (18, 19):
        return Unusable("is signed by nobody whom clients know", _PRIVATE)
    return Unusable(f"no client takes ({error.verify_message})", "Replace it.")


def without_way(text: str, trust: str | None) -> Unusable:
    """What is wrong with a chain that leads to no authority."""
    where = f" {_PRIVATE}" if trust is None else ""
    if len(blocks(text)) > 1:
        remedy = f"Append the missing authorities in between.{where}"
        return Unusable("has a chain that leads to nobody whom clients know", remedy)
    return Unusable(
        "holds the server's certificate without its chain, so that telephones and Java refuse it",
        "Name the file with all of them (fullchain.pem), or append those of the authorities in"
        f" between.{where}",
    )


def shown(address: str, port: int, name: str, *, xmpp: bool = False) -> bytes:
    """The certificate that a program shows, in DER form; empty where none answers."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((reachable(address), port), _PATIENCE) as plain:
            if xmpp:
                _start_tls(plain, name)
            with client.wrap_socket(plain, server_hostname=name) as secured:
                return secured.getpeercert(binary_form=True) or b""
    except (OSError, OverflowError, ValueError):  # also for what is no port
        return b""


def _start_tls(plain: socket.socket, name: str) -> None:
    """Ask for TLS in a stream of XMPP (RFC 6120, section 5.4)."""
    opening = (
        f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{name}' version='1.0'>"
    )
    tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    for sent, until in ((opening, b"</stream:features>"), (tls, b"<proceed")):
        plain.sendall(sent.encode())
        received = b""
        while until not in received:
            more = plain.recv(4096)
            if not more:
                raise OSError("the stream ended")
            received += more


def in_java(path: str, certificate: bytes) -> bool | None:
    """Whether a store of Java has a certificate; None where that cannot be seen."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return None
    return certificate in content if content.startswith(_JKS) else None


SPEC: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "more_names": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "str"},
    "path": {"type": "str"},
    "key": {"type": "str"},
    "variable": {"type": "str", "default": ""},
    "authority": {"type": "str"},
    "address": {"type": "str"},
    "port": {"type": "int"},
    "xmpp": {"type": "bool", "default": False},
    "java": {"type": "str"},
}


def look(wanted: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What there is to say of certificates, by their paths. The options are those of the module."""
    found = {}
    for each in wanted:
        for name in each["names"]:
            base = os.path.join(each["directory"] or "", name)
            path, key = each["path"] or f"{base}.crt", each["key"]
            key = key if each["path"] else f"{base}.key"
            found[path] = _look({**each, "name": name, "path": path, "key": key})
    return found


def _look(wanted: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "path": wanted["path"],
        "name": wanted["name"],
        "problem": "",
        "ends": None,
        "responder": False,
        "chain": "",
        "authority": None,
        "shown": None,
        "in_java": None,
    }
    ours = not wanted["variable"]
    if ours and not os.path.lexists(wanted["path"]):
        return facts
    try:
        _look_at_files(wanted, facts, ours=ours)
    except Unusable as found:
        facts["problem"] = _sentence(wanted, found, ours=ours)
    certificate = der(facts["chain"])
    if certificate and wanted["address"]:
        seen = shown(wanted["address"], wanted["port"], wanted["name"], xmpp=wanted["xmpp"])
        facts["shown"] = seen == certificate if seen else None
    if certificate and wanted["java"]:
        facts["in_java"] = in_java(wanted["java"], certificate)
    return facts


def _look_at_files(wanted: dict[str, Any], facts: dict[str, Any], *, ours: bool) -> None:
    text = facts["chain"] = certificates_in(wanted["path"])
    authority = wanted["authority"]
    if authority:
        facts["authority"] = roots(_authority(authority))
    if not wanted["key"]:
        return
    server = serving(wanted["path"], wanted["key"])
    own = details(server, text, wanted["name"])
    facts["ends"] = ends(text, own)
    facts["responder"] = bool(own.get("OCSP"))
    if ours:
        if ssl.cert_time_to_seconds(own["notAfter"]) > time.time():  # else it is renewed
            check_own(server, text, wanted["name"], own)
        return
    for name in [wanted["name"], *wanted["more_names"]]:
        check_own(server, text, name, own)
    if authority or os.path.exists(ROOTS):
        judge(server, text, wanted["name"], facts["authority"])
    elif len(blocks(text)) == 1 and own["issuer"] != own["subject"]:
        raise without_way(text, None)


def _authority(path: str) -> str:
    remedy = "Put the root certificate of your authority there, or leave that variable out."
    try:
        text = certificates_in(path)
        trusting(text)
    except Unusable as found:
        raise _OfAuthority(found.why, remedy) from None
    except ssl.SSLError as error:
        raise _OfAuthority(f"OpenSSL refuses ({error.reason})", remedy) from None
    return text


class _OfAuthority(Unusable):
    """What is wrong with the file of the authority."""


def _sentence(wanted: dict[str, Any], found: Unusable, *, ours: bool) -> str:
    """What is wrong, with the variable and the file, and what to do."""
    path = wanted["key"] if found.about_key else wanted["path"]
    if ours:
        return (
            f"{path}, of an earlier run, {found.why}. Remove {wanted['path']}, and the next run"
            " makes a new certificate and a new key."
        )
    variable = wanted["variable"] + ("_key" if found.about_key else "")
    if isinstance(found, _OfAuthority):
        path, variable = wanted["authority"], f"{wanted['variable']}_authority"
    return f"{variable} names {path}, which {found.why}. {found.remedy}"
