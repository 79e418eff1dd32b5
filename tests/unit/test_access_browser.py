"""People in browsers: which browser it is, and what is noted of what they see."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import Error

from tests.authority import issue
from vestibule.access import prove
from vestibule.access.cases import CASES
from vestibule.access.chromium import NoBrowser, Window, find, fingerprint
from vestibule.access.xmpp import NoAnswer

PATIENCE = 0.6  # seconds


class Page:
    """What Playwright would be asked, with these sums of bytes one after the other."""

    def __init__(self, *sums: tuple[int, int]) -> None:
        self.handlers: dict[str, Any] = {}
        self._sums = [{"audio": audio, "video": video} for audio, video in sums]

    def on(self, event: str, handler: Any) -> None:
        self.handlers[event] = handler

    url = "https://meet.example.org/static/vestibule/expired?room=standup"

    async def wait_for_url(self, fits: Callable[[str], bool], timeout: float) -> None:
        assert timeout == PATIENCE * 1000
        if not fits(self.url):
            raise Error(f"{self.url} and a token")

    async def evaluate(self, _script: str) -> dict[str, int]:
        return self._sums.pop(0) if len(self._sums) > 1 else self._sums[0]


def window(page: Page) -> Window:
    return Window(page, PATIENCE, Path("picture.png"))  # type: ignore[arg-type]


def test_a_named_browser_has_to_be_there() -> None:
    with pytest.raises(NoBrowser, match="jitsi_verify_browser is /opt/none, which is no program"):
        find("/opt/none")
    with pytest.raises(NoBrowser, match="is none"):
        find("none")


def test_the_first_browser_of_the_controller_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", {"google-chrome": "/usr/bin/chrome"}.get)
    assert find("") == "/usr/bin/chrome"
    monkeypatch.setattr("shutil.which", {}.get)
    with pytest.raises(NoBrowser, match="has no Chromium"):
        find("")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("", "has no Chromium. Run scripts/bootstrap --browser for both."),
        ("none", "jitsi_verify_browser is none."),
    ],
)
def test_what_is_not_played_is_named(
    monkeypatch: pytest.MonkeyPatch, wish: str, words: str
) -> None:
    monkeypatch.setattr("shutil.which", {}.get)
    cases = [CASES[name] for name in ("page_opens", "browser_arrives", "browsers_meet")]
    program, unplayed = prove._browser({"browser": wish}, cases)
    assert program == ""
    assert list(unplayed) == ["browser_arrives", "browsers_meet"]
    (sentence,) = set(unplayed.values())
    assert sentence.startswith("Not played for want of a browser: browser_arrives, browsers_meet.")
    assert sentence.endswith(words)


def test_a_browser_that_the_operator_names_is_not_left_out() -> None:
    with pytest.raises(prove.ProofError, match=r"is /opt/none, which .* Name Chromium there"):
        prove._browser({"browser": "/opt/none"}, [CASES["browsers_meet"]])
    assert prove._browser({"browser": "/opt/none"}, [CASES["page_opens"]]) == ("", {})


def test_a_key_is_known_as_openssl_knows_it(tmp_path: Path) -> None:
    own = issue("meet.example.org")
    (tmp_path / "own.pem").write_text(own.pem)
    asked = ["openssl", "x509", "-noout", "-pubkey", "-in", f"{tmp_path}/own.pem"]
    key = subprocess.run(asked, capture_output=True, check=True).stdout
    said = ["openssl", "pkey", "-pubin", "-outform", "DER"]
    spki = subprocess.run(said, input=key, capture_output=True, check=True).stdout
    der = base64.b64decode("".join(own.pem.splitlines()[1:-1]))
    assert fingerprint(der) == base64.b64encode(hashlib.sha256(spki).digest()).decode()


def test_what_goes_wrong_is_noted_and_whom_it_asks() -> None:
    page = Page((0, 0))
    seen = window(page)
    seen.watch()
    page.handlers["pageerror"]("ReferenceError: interfaceConfig is not defined")
    for kind, own, text in (
        ("error", [], "Refused to load the script"),
        ("error", ["said by the page"], "[room] failed at /room?jwt=eyJhbGciO.eyJpc3MiO.c2ln"),
        ("warning", [], "is deprecated"),
    ):
        page.handlers["console"](SimpleNamespace(type=kind, args=own, text=text))
    for address in ("https://meet.example.org/libs/app.js", "blob:https://x/1", "data:text/css,"):
        page.handlers["request"](SimpleNamespace(url=address))
    page.handlers["websocket"](SimpleNamespace(url="wss://stun.example.net:8443/x"))
    assert seen.faults == [
        "ReferenceError: interfaceConfig is not defined",
        "Refused to load the script",
    ]
    assert seen.said == ["[room] failed at /room?jwt=…"]
    assert seen.asked == {"meet.example.org", "stun.example.net:8443"}


def test_media_arrive_while_both_kinds_rise() -> None:
    asyncio.run(window(Page((0, 0), (5, 0), (9, 7), (12, 9))).wait_for_media())


@pytest.mark.parametrize(
    ("sums", "missing"),
    [
        pytest.param([(0, 0)], "audio and video", id="nothing"),
        pytest.param([(5, 5), (5, 5)], "audio and video", id="no longer"),
        pytest.param([(number, 0) for number in range(1, 99)], "video", id="sound alone"),
    ],
)
def test_media_that_do_not_arrive_are_named(sums: list[tuple[int, int]], missing: str) -> None:
    with pytest.raises(NoAnswer, match=f"no answer: {missing} of somebody else"):
        asyncio.run(window(Page(*sums)).wait_for_media())


def test_a_page_is_there_once_its_path_is() -> None:
    page = window(Page((0, 0)))
    assert asyncio.run(page.wait_for_page("/static/vestibule/expired")) == Page.url
    with pytest.raises(NoAnswer, match="no answer: the page /standup did not come") as error:
        asyncio.run(page.wait_for_page("/standup"))
    assert "token" not in str(error.value)
