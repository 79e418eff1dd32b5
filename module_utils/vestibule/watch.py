#!/usr/bin/python3
"""Tries the front door of a Jitsi server from the server itself, as Prometheus reads it.

A timer of the server runs it as a program, so it needs nothing but Python:
``watch CONFIGURATION < KEYS`` prints the metrics, and ends with 1 where a verdict is wrong, which
it says on standard error. CONFIGURATION is a JSON file without secrets, KEYS one of keys as
``mod_token_keys`` reads it, whose first one signs tokens for rooms of one tenant, where nobody is.

Over BOSH (XEP-0124, XEP-0206) it enters one room with a token of a minute, tries to get into it
with no token, with a bad one and with one for another room, and leaves.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import hmac
import http.client
import json
import re
import secrets
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

PATIENCE = 20  # seconds for one answer
LIFETIME = 60  # seconds that a token counts
LARGEST = 256 * 1024  # bytes of an answer
_DAY = 86400  # seconds
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, of certificates that have ended
_BIND = "http://jabber.org/protocol/httpbind"
_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_CLIENT = "jabber:client"
_FOCUS = "http://jitsi.org/protocol/focus"
_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
_SAMPLE = re.compile(r"^jitsi_\w+(?:\{[^{}\n]{0,500}\})? [-+0-9.eE]{1,40}$", re.MULTILINE)
_MOST = 500  # samples of one program
_ESTABLISHED = "01"  # in /proc/net/tcp


class Refused(Exception):
    """The server said no: where on the way in, and its condition."""


class NoAnswer(Exception):
    """The server said neither yes nor no."""


class Verdict(NamedTuple):
    """What became of one case."""

    case: str
    right: bool
    said: str
    seconds: float


def token_of(key: dict[str, Any], room: str, audience: str, now: float) -> str:
    """A token of a minute that opens one room of the key's tenant (RFC 7519)."""
    header = {"alg": "HS256", "typ": "JWT", "kid": key["kid"]}
    claims = {
        "iss": key["issuers"][0],
        "aud": audience,
        "sub": key["tenants"][0],
        "room": room,
        "iat": int(now),
        "exp": int(now) + LIFETIME,
        # So that it neither waits for an owner nor in a lobby
        "context": {"user": {"id": "vestibule-watch", "name": "Watch", "affiliation": "owner"}},
    }
    signed = ".".join(_part(json.dumps(each).encode()) for each in (header, claims))
    made = hmac.new(key["secret"].encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_part(made)}"


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def element(name: str, attributes: dict[str, str], *children: str) -> str:
    """XML text of one element."""
    said = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{said}>{''.join(children)}</{name}>"


def reachable(address: str) -> str:
    """Where a program is reached that listens on an address, as nginx writes it."""
    plain = address.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(plain, plain)  # noqa: S104 - not bound


def context_of(authority: str) -> ssl.SSLContext:
    """A client that trusts one file, or whom this system trusts."""
    return ssl.create_default_context(cafile=authority or None)


class Person:
    """A client of BOSH, with one request at a time."""

    def __init__(self, wish: dict[str, Any], query: dict[str, str]) -> None:
        self.jid = ""
        self._domain = wish["domain"]
        self._path = f"/http-bind?{urllib.parse.urlencode(query)}"
        self._host = wish["host"]
        self._rid, self._sid = secrets.randbelow(2**32), ""
        self._unread: list[ET.Element] = []
        self._door = http.client.HTTPSConnection(self._domain, timeout=PATIENCE)
        plain = socket.create_connection((reachable(wish["address"]), wish["port"]), PATIENCE)
        context = context_of(wish["authority"])
        self._door.sock = context.wrap_socket(plain, server_hostname=self._domain)
        self._door.auto_open = 0  # never by the name in the DNS

    def log_in(self) -> None:
        """Open a stream as a browser does. Raises Refused."""
        opening = {"to": self._domain, "ver": "1.6", "wait": "5", "hold": "1", "xml:lang": "en"}
        xbosh = {"xmlns:xmpp": "urn:xmpp:xbosh"}
        self._post({**opening, **xbosh, "xmpp:version": "1.0"})
        self._post({}, element("auth", {"xmlns": _SASL, "mechanism": "ANONYMOUS"}))
        answer = self._await(
            lambda each: each.tag in (f"{{{_SASL}}}success", f"{{{_SASL}}}failure")
        )
        if answer.tag.endswith("failure"):
            raise Refused(f"login: {_condition(answer, _SASL)}")
        self._post({"to": self._domain, **xbosh, "xmpp:restart": "true"})
        bind = "urn:ietf:params:xml:ns:xmpp-bind"
        bound = self._ask({"type": "set"}, element("bind", {"xmlns": bind}))
        self.jid = bound.findtext(f".//{{{bind}}}jid", "")

    def open_room(self, room: str) -> None:
        """Have Jicofo open a room. Raises Refused."""
        wanted = {"xmlns": _FOCUS, "room": room, "machine-uid": secrets.token_hex(16)}
        to = {"type": "set", "to": f"focus.{self._domain}"}
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = self._ask(to, element("conference", wanted))
            if answer.get("type") == "error":
                raise Refused(f"focus: {_error(answer)}")
            if any(each.get("ready") == "true" for each in answer.iter(f"{{{_FOCUS}}}conference")):
                return
            time.sleep(0.25)
        raise NoAnswer("Jicofo does not open the room")

    def join(self, room: str) -> None:
        """Enter a room. Raises Refused."""
        nick = self.jid[:8]
        muc = "http://jabber.org/protocol/muc"
        name = element("nick", {"xmlns": "http://jabber.org/protocol/nick"}, "Watch")
        wanted = {"xmlns": _CLIENT, "to": f"{room}/{nick}"}
        self._post({}, element("presence", wanted, element("x", {"xmlns": muc}), name))

        def is_answer(each: ET.Element) -> bool:
            own = each.get("from", "").endswith(f"/{nick}")
            is_error = each.get("type") == "error"
            codes = {status.get("code") for status in each.iter(f"{{{muc}#user}}status")}
            return each.tag == f"{{{_CLIENT}}}presence" and (is_error or (own and "110" in codes))

        answer = self._await(is_answer)
        if answer.get("type") == "error":
            raise Refused(f"join: {_error(answer)}")

    def leave(self) -> None:
        """Go, whatever the server says."""
        if self._sid:
            try:
                gone = element("presence", {"xmlns": _CLIENT, "type": "unavailable"})
                self._post({"type": "terminate"}, gone)
            except (NoAnswer, Refused, OSError, http.client.HTTPException):
                pass
        self._door.close()

    def _ask(self, attributes: dict[str, str], child: str) -> ET.Element:
        name = secrets.token_hex(4)
        self._post({}, element("iq", {"xmlns": _CLIENT, "id": name, **attributes}, child))
        return self._await(lambda each: each.get("id") == name)

    def _await(self, fits: Callable[[ET.Element], bool]) -> ET.Element:
        end = time.monotonic() + PATIENCE
        while True:
            while self._unread:
                each = self._unread.pop(0)
                if fits(each):
                    return each
            if time.monotonic() > end:
                raise NoAnswer("silence")
            self._post({})

    def _post(self, attributes: dict[str, str], *children: str) -> None:
        self._rid += 1
        named = {"sid": self._sid} if self._sid else {}
        said = {"xmlns": _BIND, "rid": str(self._rid), **named, **attributes}
        headers = {"Host": self._host, "Content-Type": "text/xml; charset=utf-8"}
        self._door.request("POST", self._path, element("body", said, *children), headers)
        answer = self._door.getresponse()
        content = answer.read(LARGEST + 1)
        if answer.status != 200:
            raise NoAnswer(f"HTTP status {answer.status}")
        # Without a DTD nothing expands
        if len(content) > LARGEST or b"<!" in content:
            raise NoAnswer("an answer that is no XMPP")
        try:
            body = ET.fromstring(content)  # noqa: S314 - no DTD comes this far, so nothing expands
        except ET.ParseError:
            raise NoAnswer("an answer that is no XML") from None
        self._sid = body.get("sid", self._sid)
        self._unread += list(body)
        if body.get("type") == "terminate" and not self._unread:
            raise Refused(f"stream: {body.get('condition', 'closed')}")


def _condition(answer: ET.Element, namespace: str) -> str:
    found = [each.tag for each in answer if each.tag.startswith(f"{{{namespace}}}")]
    names = [tag.partition("}")[2] for tag in found]
    return next((name for name in names if name != "text"), "undefined-condition")


def _error(stanza: ET.Element) -> str:
    error = stanza.find(f"{{{_CLIENT}}}error")
    return "undefined-condition" if error is None else _condition(error, _STANZAS)


def play(wish: dict[str, Any], key: dict[str, Any]) -> list[Verdict]:
    """All verdicts. Who has entered stays in the room until the others were refused there."""
    tenant, room = key["tenants"][0], wish["room"]
    address = f"{room}@conference.{tenant}.{wish['domain']}"
    query = {"room": room, "prefix": tenant}
    now = time.time()
    good = token_of(key, room, wish["audience"], now)
    other = token_of(key, f"{room}-other", wish["audience"], now)
    bad = token_of({**key, "secret": secrets.token_hex(32)}, room, wish["audience"], now)
    verdicts: list[Verdict] = []
    inside: list[Person] = []

    def enter(token: str) -> None:
        person = Person(wish, {**query, **({"token": token} if token else {})})
        inside.append(person)
        person.log_in()
        if token == good:
            person.open_room(address)
        person.join(address)

    for case, token, expected in (
        ("token_enters", good, ""),
        ("no_token_refused", "", "login: not-allowed"),
        ("bad_signature_refused", bad, "login: not-allowed"),
        ("other_room_refused", other, "join: not-allowed"),
    ):
        began = time.monotonic()
        try:
            enter(token)
            said = ""
        except Refused as error:
            said = str(error)
        except (NoAnswer, OSError, http.client.HTTPException) as error:
            said = f"no answer ({str(error) or type(error).__name__})"
        right = said == expected
        words = said or "enters"
        verdicts.append(Verdict(case, right, words, time.monotonic() - began))
    for person in reversed(inside):
        person.leave()
    return verdicts


def certificate_days(wish: dict[str, Any], port: int) -> float:
    """Days until the certificate ends that a port shows; negative where it has. Raises OSError."""
    context = context_of(wish["authority"])
    context.verify_flags |= _NO_CHECK_TIME
    with (
        socket.create_connection((reachable(wish["address"]), port), PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=wish["domain"]) as secured,
    ):
        end = (secured.getpeercert() or {})["notAfter"]
    return (ssl.cert_time_to_seconds(str(end)) - time.time()) / _DAY


def fetch(url: str) -> tuple[int, str]:
    """Status and text of a program of this host; 0 where nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read(LARGEST).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError, http.client.HTTPException):
        return 0, ""


def read(path: str) -> str:
    """What a file holds, nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def versions(names: list[str]) -> dict[str, str]:
    """Versions of packages that are installed, as dpkg or pacman keep them."""
    found = {}
    for stanza in read("/var/lib/dpkg/status").split("\n\n"):
        said = dict(re.findall(r"^(Package|Status|Version): (.*)$", stanza, re.MULTILINE))
        if said.get("Package") in names and said.get("Status", "").endswith(" installed"):
            found[said["Package"]] = said.get("Version", "")
    for path in glob.glob("/var/lib/pacman/local/*/desc"):
        said = dict(re.findall(r"^%(NAME|VERSION)%\n(.*)$", read(path), re.MULTILINE))
        if said.get("NAME") in names:
            found[said["NAME"]] = said.get("VERSION", "")
    return found


def connections(port: int) -> int:
    """How many are established to a TCP port of this host."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            words = line.split()
            count += words[3] == _ESTABLISHED and int(words[1].rpartition(":")[2], 16) == port
    return count


def memory(service: str) -> int | None:
    """Bytes that a service takes, by its control group; None where it has no process.

    ``*`` stands for the rest of its name. 0 where nobody counts, as in some containers.
    """
    for folder in glob.glob(f"/sys/fs/cgroup/system.slice/{service}.service"):
        if read(f"{folder}/cgroup.procs").strip():
            return int(read(f"{folder}/memory.current") or 0)
    return None


def label(text: str) -> str:
    """A text as the value of a label."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


class Metrics:
    """Lines of Prometheus' text format."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, words: str, samples: dict[str, Any], by: str) -> None:
        """A gauge, by the values of a label."""
        if not samples:
            return
        self.lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
        for value, number in samples.items():
            self.lines.append(f"{name}{{{by}={label(value)}}} {number:.9g}")

    def text(self) -> str:
        """All of them."""
        return "\n".join(self.lines) + "\n"


def measure(wish: dict[str, Any], verdicts: list[Verdict]) -> str:
    """All that Prometheus reads."""
    metrics = Metrics()
    rights = {each.case: int(each.right) for each in verdicts}
    metrics.add("vestibule_watch_verdict", "Whether a case went as it has to.", rights, "case")
    took = {each.case: each.seconds for each in verdicts}
    metrics.add("vestibule_watch_case_seconds", "How long a case took.", took, "case")
    metrics.lines += [
        "# HELP vestibule_watch_time_seconds When the door was tried, in seconds since 1970.",
        "# TYPE vestibule_watch_time_seconds gauge",
        f"vestibule_watch_time_seconds {int(time.time())}",
    ]
    days = {}
    for name, port in wish["certificates"].items():
        try:
            days[name] = certificate_days(wish, port)
        except (OSError, LookupError):
            continue  # no number says it; the verdicts do
    words = "Days until the certificate ends that people see."
    metrics.add("vestibule_certificate_days", words, days, "name")
    sizes = {name.rstrip("*"): memory(name) for name in wish["services"]}
    up = {name: int(size is not None) for name, size in sizes.items()}
    metrics.add("vestibule_service_up", "Whether a service has processes.", up, "service")
    there = {name: size for name, size in sizes.items() if size}
    metrics.add("vestibule_service_memory_bytes", "Memory that it takes.", there, "service")
    people = {name: connections(port) for name, port in wish["connections"].items()}
    words = "Connections to Prosody: of people (http), of Jicofo and bridges (machines)."
    metrics.add("vestibule_prosody_connections", words, people, "of")
    healthy, theirs = {}, []
    for name, address in wish["programs"].items():
        status, _ = fetch(f"{address}/about/health")
        # Jicofo has none where its own checks are off
        healthy.update({} if status == 404 else {name: int(status == 200)})
        theirs += _SAMPLE.findall(fetch(f"{address}/metrics")[1])[:_MOST]
    metrics.add("vestibule_program_healthy", "What it says of itself.", healthy, "program")
    metrics.lines += theirs
    found = versions(wish["packages"])
    if found:
        metrics.lines += [
            "# HELP vestibule_package_info Version of a package.",
            "# TYPE vestibule_package_info gauge",
        ]
    for name, version in sorted(found.items()):
        metrics.lines.append(
            f"vestibule_package_info{{package={label(name)},version={label(version)}}} 1"
        )
    return metrics.text()


def wrong(verdicts: list[Verdict]) -> Iterator[str]:
    """A sentence for each verdict that is wrong. No token is in it."""
    for each in verdicts:
        if not each.right:
            yield f"{each.case} went wrong: {each.said}"


def main(argv: list[str]) -> int:
    """The program."""
    with open(argv[1], encoding="utf-8") as file:
        wish = json.load(file)
    key = json.load(sys.stdin)["keys"][0]
    verdicts = play(wish, key)
    sys.stdout.write(measure(wish, verdicts))
    said = list(wrong(verdicts))
    sys.stderr.write("".join(f"{each}\n" for each in said))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
