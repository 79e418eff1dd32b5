"""People in a real browser: Chromium without a window, each person in a profile of their own.

Playwright drives it, over a pipe that no other user of this machine can read; so no token is in a
command line.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .xmpp import Broken, NoAnswer

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# As it is called in jitsi-meet's react/features/prejoin/components/web/Prejoin.tsx
_ENTER = "prejoin.joinMeeting"
_PERIOD = 0.25  # seconds between two readings of what has arrived
_MEDIA = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
# In an address that a client writes into its log
_TOKEN = re.compile(r"[\w-]{8,}\.[\w-]{8,}\.[\w-]+", re.ASCII)
# Runs before the page's own scripts, and keeps the connections that these make
_WATCH = """(() => {
  const connections = [];
  const Plain = window.RTCPeerConnection;
  if (!Plain) return;
  window.RTCPeerConnection = class extends Plain {
    constructor(...options) { super(...options); connections.push(this); }
  };
  Object.defineProperty(window, "vestibuleConnections", { value: connections });
})()"""
# Bytes of audio and of video that have arrived, over all connections
_RECEIVED = """async () => {
  const sums = { audio: 0, video: 0 };
  for (const connection of window.vestibuleConnections ?? []) {
    for (const each of (await connection.getStats()).values()) {
      if (each.type === "inbound-rtp" && each.kind in sums) sums[each.kind] += each.bytesReceived;
    }
  }
  return sums;
}"""

# Addresses and ports at the other ends from which media come
_ENDS = """async () => {
  const ends = [];
  for (const connection of window.vestibuleConnections ?? []) {
    const all = await connection.getStats();
    for (const each of all.values()) {
      if (each.type !== "transport" || !each.bytesReceived) continue;
      const end = all.get(all.get(each.selectedCandidatePairId)?.remoteCandidateId);
      ends.push([end?.address ?? null, end?.port ?? null]);
    }
  }
  return ends;
}"""


class NoBrowser(Exception):
    """A sentence about why there is none, for the operator."""


def find(program: str) -> str:
    """Path of the browser: the one that is named, or the first that this machine has.

    Raises NoBrowser.
    """
    if program == "none":
        raise NoBrowser("jitsi_verify_browser is none.")
    if program:
        path = shutil.which(program)
        if not path:
            raise NoBrowser(f"jitsi_verify_browser is {program}, which is no program here.")
    else:
        path = next((found for each in PROGRAMS if (found := shutil.which(each))), None)
        if not path:
            raise NoBrowser("This controller has no Chromium.")
    try:
        import playwright.async_api  # noqa: F401, PLC0415 — not everybody has it
    except ImportError:
        raise NoBrowser("This controller has no Playwright, which drives a browser.") from None
    return path


def fingerprint(certificate: bytes) -> str:
    """By which Chromium knows a key that it takes: the SHA-256 of its SubjectPublicKeyInfo."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@dataclass
class Window:
    """What one person sees.

    ``faults`` are what went wrong in it, ``said`` what the client itself writes down as an error,
    which may be none, and ``asked`` names and ports of the servers that it asked.
    """

    page: Page
    patience: float  # seconds that the server has for each answer
    picture: Path  # where one of it is written
    faults: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def watch(self) -> None:
        """Note what happens in it from now on."""
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self._note_server(request.url))
        self.page.on("websocket", lambda socket: self._note_server(socket.url))

    def _note(self, message: Any) -> None:
        # What a client says of itself has its script as its place, what the browser says has not
        if message.type == "error":
            (self.said if message.args else self.faults).append(_TOKEN.sub("…", message.text))

    def _note_server(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "ws", "wss"):
            self.asked.add(parts.netloc)

    async def open(self, address: str) -> None:
        """Go there. Raises Broken where the page does not open."""
        from playwright.async_api import Error  # noqa: PLC0415

        try:
            await self.page.goto(address, wait_until="load", timeout=self.patience * 1000)
        except Error as error:  # its words have the address, and with it the token
            reason = str(error).split(" at http")[0].split("\n")[0]
            raise Broken(f"the page does not open: {reason}") from None

    async def enter(self) -> None:
        """Click what the page before the meeting has for it. Raises NoAnswer."""
        from playwright.async_api import Error  # noqa: PLC0415

        try:
            await self.page.get_by_test_id(_ENTER).click(timeout=self.patience * 1000)
        except Error:  # its words have the address, and with it the token
            raise NoAnswer("the way in on the page before the meeting", self.patience) from None

    async def wait_for_page(self, path: str) -> str:
        """Until it shows what is at this path, and its address then. Raises NoAnswer."""
        from playwright.async_api import Error  # noqa: PLC0415

        try:
            await self.page.wait_for_url(
                lambda address: urlsplit(address).path == path, timeout=self.patience * 1000
            )
        except Error:  # its words have addresses, and with them tokens
            raise NoAnswer(f"the page {path}", self.patience) from None
        return self.page.url

    async def wait_for_media(self) -> None:
        """Until sound and pictures of others arrive, and go on arriving. Raises NoAnswer."""
        before = {"audio": 0, "video": 0}
        end = asyncio.get_running_loop().time() + self.patience
        while True:
            now = await self.page.evaluate(_RECEIVED)
            if all(now[kind] > before[kind] > 0 for kind in before):
                return
            if asyncio.get_running_loop().time() > end:
                missing = " and ".join(kind for kind in now if now[kind] <= before[kind])
                raise NoAnswer(f"{missing} of somebody else", self.patience)
            before = now
            await asyncio.sleep(_PERIOD)  # nothing tells that bytes have arrived

    async def ends_of_media(self) -> set[tuple[str | None, int | None]]:
        """Addresses and ports at the other ends, None where the browser does not know them."""
        return {(address, port) for address, port in await self.page.evaluate(_ENDS)}

    async def take_picture(self) -> None:
        """Write what is to be seen, as PNG."""
        await self.page.screenshot(path=self.picture)


@dataclass(frozen=True)
class Chromium:
    """A browser that runs, and knows where the domain of the server is."""

    browser: Browser
    patience: float
    picture: Path

    @contextlib.asynccontextmanager
    async def window(self, language: str = "en") -> AsyncIterator[Window]:
        """Somebody who has never been here, with a microphone and a camera."""
        context = await self.browser.new_context(
            locale=language, permissions=["camera", "microphone"]
        )
        try:
            await context.add_init_script(_WATCH)
            window = Window(await context.new_page(), self.patience, self.picture)
            window.watch()
            yield window
        finally:
            await context.close()


@contextlib.asynccontextmanager
async def chromium(
    program: str, domain: str, address: str, trusted: bytes, patience: float, picture: Path
) -> AsyncIterator[Chromium]:
    """Run the browser. ``trusted`` is a certificate in DER form that it takes, or empty.

    ``address`` is where the domain is, an address or a name.
    """
    from playwright.async_api import async_playwright  # noqa: PLC0415

    place = f"[{address}]" if ":" in address else address
    flags = [*_MEDIA, f"--host-resolver-rules=MAP {domain} {place}"]
    if trusted:
        flags.append(f"--ignore-certificate-errors-spki-list={fingerprint(trusted)}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=flags,
            chromium_sandbox=os.geteuid() != 0,  # it refuses to have one for root
        )
        try:
            yield Chromium(browser, patience, picture)
        finally:
            await browser.close()
