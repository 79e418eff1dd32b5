"""Sends tokens to a server, as fast as asked for and no faster, and says what became of them.

Runs on the server itself, on any Python 3, so that it can come from many addresses of the loopback.
It is made to be cheap, as it shares the processor with what it measures: sessions of TLS 1.2 are
taken up again, an attempt over WebSocket is one write, and nothing is parsed.
"""

from __future__ import annotations

import argparse
import errno
import json
import re
import resource
import selectors
import socket
import ssl
import sys
import time

OUTSTANDING = 5000  # attempts under way; what would be more is not sent, and counted
PATIENCE = 10.0  # seconds for one attempt
AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
BODY = "http://jabber.org/protocol/httpbind"
OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' version='1.0'/>"


def frame(text: str) -> bytes:
    """A text message of a client with a mask of zeros (RFC 6455, section 5.2), up to 64 kB."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def websocket_steps(domain: str, query: str) -> list[bytes]:
    """All that is said over WebSocket, at once."""
    head = (
        f"GET /xmpp-websocket?{query} HTTP/1.1\r\nHost: {domain}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return [head.encode() + frame(OPEN.format(domain=domain)) + frame(AUTH)]


def bosh_steps(domain: str, query: str) -> list[bytes]:
    """The request that opens a session, and the one that logs in, with a place for the session."""
    bodies = (
        f"<body xmlns='{BODY}' rid='1001' to='{domain}' ver='1.6' wait='30' hold='1'"
        " xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>",
        f"<body xmlns='{BODY}' rid='1002' sid='{'0' * 36}'>{AUTH}</body>",
    )
    return [
        (
            f"POST /http-bind?{query} HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/xml\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        for body in bodies
    ]


class Attempt:
    """One connection, from SYN to the refusal."""

    def __init__(self, flood: Flood, source: str) -> None:
        self.flood, self.began, self.received = flood, time.monotonic(), b""
        self.steps = list(flood.steps)
        self.wrapped = self.shaken = False
        self.sock: socket.socket = socket.socket(flood.family)
        self.sock.setblocking(False)
        if source:
            self.sock.bind((source, 0))
        code = self.sock.connect_ex(flood.target)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        flood.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def advance(self) -> str:
        """Go on as far as possible. The outcome, or nothing while there is none."""
        try:
            if not self.wrapped:
                self._wrap()
            if not self.shaken:
                self.sock.do_handshake()  # type: ignore[attr-defined]  # wrapped by now
                self.shaken = True
                self.flood.session = self.flood.session or self.sock.session  # type: ignore[attr-defined]
                self._say()
            while True:
                chunk = self.sock.recv(16384)
                self.received += chunk
                outcome = self._judge(ended=not chunk)
                if outcome:
                    return outcome
        except ssl.SSLWantReadError:
            self.flood.selector.modify(self.sock, selectors.EVENT_READ, self)
        except ssl.SSLWantWriteError:
            self.flood.selector.modify(self.sock, selectors.EVENT_WRITE, self)
        except OSError as error:
            return f"failed: {error.strerror or type(error).__name__}"
        return ""

    def _wrap(self) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode[code])
        self.flood.selector.unregister(self.sock)
        self.sock = self.flood.context.wrap_socket(
            self.sock,
            do_handshake_on_connect=False,
            server_hostname=self.flood.domain,
            session=self.flood.session,
        )
        self.flood.selector.register(self.sock, selectors.EVENT_WRITE, self)
        self.wrapped = True

    def _say(self) -> None:
        self.sock.sendall(self.steps.pop(0))

    def _judge(self, *, ended: bool) -> str:
        if b"HTTP/1.1 429" in self.received:
            return "turned away"
        if b"<failure" in self.received:
            return "refused"
        if b"<success" in self.received:
            return "held"
        if self.steps and (found := re.search(rb"\bsid='([^']+)'", self.received)):
            self.steps[0] = self.steps[0].replace(b"0" * 36, found[1])
            self._say()
        elif ended:
            return "cut off"
        return ""


class Flood:
    """Attempts at a rate, from sources in turn."""

    def __init__(self, options: argparse.Namespace, token: str) -> None:
        self.domain = options.domain
        self.target = (options.address, 443)
        self.family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
        self.selector = selectors.DefaultSelector()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.session: ssl.SSLSession | None = None
        query = f"room=flood&token={token}" if token else "room=flood"
        make = websocket_steps if options.transport == "websocket" else bosh_steps
        self.steps = make(options.domain, query)
        self.outcomes: dict[str, int] = {}
        self.held: list[socket.socket] = []

    def count(self, outcome: str, number: int = 1) -> None:
        """Remember what became of attempts."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + number

    def run(self, rate: int, seconds: float, sources: list[str]) -> None:
        """Start attempts for so long, then see the last of them end."""
        began, started = time.monotonic(), 0
        under_way: set[Attempt] = set()
        while True:
            now = time.monotonic()
            due = min(int((now - began) * rate), int(seconds * rate)) - started
            for number in range(due):
                if len(under_way) >= OUTSTANDING:
                    self.count("not sent", due - number)
                    started += due - number
                    break
                try:
                    under_way.add(Attempt(self, sources[started % len(sources)]))
                except OSError as error:
                    self.count(f"failed: {error.strerror}")
                started += 1
            if not under_way and started >= int(seconds * rate):
                return
            for key, _ in self.selector.select(0.005):
                self._advance(key.data, under_way)
            for late in [one for one in under_way if now - one.began > PATIENCE]:
                self._end(late, under_way, "no answer")

    def _advance(self, attempt: Attempt, under_way: set[Attempt]) -> None:
        outcome = attempt.advance()
        if outcome:
            self._end(attempt, under_way, outcome)

    def _end(self, attempt: Attempt, under_way: set[Attempt], outcome: str) -> None:
        self.count(outcome)
        under_way.discard(attempt)
        self.selector.unregister(attempt.sock)
        if outcome == "held":
            self.held.append(attempt.sock)
        else:
            attempt.sock.close()


def main() -> None:
    """Read a token from the standard input, send it, print one JSON object.

    Sessions that a good token got are held until the standard input ends.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--transport", choices=["websocket", "bosh"], default="websocket")
    parser.add_argument("--rate", type=int, default=1000, help="attempts a second")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sources", type=int, default=1, help="addresses of the loopback")
    parser.add_argument("--source", default="", help="one address, instead of those")
    options = parser.parse_args()
    sources = [options.source] if options.source else [""]
    if not options.source and options.address.startswith("127."):
        sources = [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(options.sources)]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    flood = Flood(options, sys.stdin.readline().strip())
    flood.run(options.rate, options.seconds, sources)
    cpu = time.process_time()
    print(json.dumps({**flood.outcomes, "processor seconds": round(cpu, 2)}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
