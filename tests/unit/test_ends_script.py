"""The script in the page of a room, run by Node in place of a browser, beside a client of ours.

The client has what the script uses of lib-jitsi-meet: a connection and a conference with events.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import playwright
import pytest

SCRIPT = Path(__file__).parents[2] / "roles/jitsi_web/files/ends.js"
LOGIN = "https://login.example.org/?room={room}"
GUESTS = {"anonymousdomain": "guest.meet.example.org"}
REFUSED = ["connection.passwordRequired", "token required"]
# That of Playwright, which everybody has who runs the tests
NODE = Path(playwright.__file__).with_name("driver") / "node"
# Prints where the visit went, what the client heard of, and whether it was started at all
BROWSER = r"""
const { EventEmitter } = require("events");
const { readFileSync } = require("fs");
const [, , script, said] = process.argv;
const { url, config, token, stored, emits, inside, framed, breakout, nothing } = JSON.parse(said);
const gone = [], heard = [], kept = new Map(Object.entries(stored || {}));
class Conference {
  constructor() { this.emitter = new EventEmitter(); }
  on(name, listener) { this.emitter.on(name, listener); }
  off(name, listener) { this.emitter.removeListener(name, listener); }
  getBreakoutRooms() { return { isBreakoutRoom: () => Boolean(breakout) }; }
  authenticateAndUpgradeRole() { heard.push("asks for a password"); return Promise.resolve(); }
}
class JitsiConnection {
  constructor(app, token, options) {
    this.token = token;
    this.emitter = new EventEmitter();
    this.addEventListener("connection.connectionFailed", () => {});
  }
  addEventListener(name, listener) { this.emitter.on(name, listener); }
  removeEventListener(name, listener) { this.emitter.removeListener(name, listener); }
  initJitsiConference(name, options) { return new Conference(); }
}
const JitsiMeetJS = {
  JitsiConnection,
  app: {},
  errors: {
    connection: { PASSWORD_REQUIRED: "connection.passwordRequired" },
    conference: {
      NOT_ALLOWED_ERROR: "conference.connectionError.notAllowed",
      CONFERENCE_DESTROYED: "conference.destroyed",
    },
  },
  events: {
    connection: { CONNECTION_FAILED: "connection.connectionFailed" },
    conference: { CONFERENCE_FAILED: "conference.failed", KICKED: "conference.kicked" },
  },
};
const { pathname, search, hash } = new URL(url);
const window = {
  JitsiMeetJS: nothing ? undefined : JitsiMeetJS,
  config,
  atob,
  location: { pathname, search, hash, replace: (address) => gone.push(address) },
  sessionStorage: stored === null ? undefined : {
    getItem: (key) => kept.has(key) ? kept.get(key) : null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  },
};
window.self = window;
window.top = framed ? {} : window;
new Function("window", readFileSync(script, "utf-8"))(window);
if (JitsiMeetJS.app) {
  const connection = new JitsiMeetJS.JitsiConnection("", token, {});
  const failed = (...words) => heard.push(words[0]);
  const none = () => heard.push("a listener that was taken away");
  connection.addEventListener("connection.connectionFailed", none);
  connection.removeEventListener("connection.connectionFailed", none);
  connection.addEventListener("connection.connectionFailed", failed);
  const conference = connection.initJitsiConference("standup", {});
  conference.on("conference.failed", none);
  conference.off("conference.failed", none);
  conference.on("conference.failed", failed);
  conference.on("conference.kicked", () => heard.push("kicked"));
  if (inside === "upgrade") conference.authenticateAndUpgradeRole({});
  else if (emits) (inside ? conference : connection).emitter.emit(...emits);
}
const starts = Boolean(JitsiMeetJS.app);
console.log(JSON.stringify({ gone, heard, starts, kept: [...kept.keys()] }));
"""


@pytest.fixture(name="browser", scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "browser.js"
    path.write_text(BROWSER, encoding="utf-8")
    return path


def visit(browser: Path, path: str = "/standup", **about: Any) -> dict[str, Any]:
    """What a visit to this page of a room comes to."""
    said = {"url": f"https://meet.example.org{path}", "config": {"hosts": GUESTS}, **about}
    done = subprocess.run(
        [str(NODE), str(browser), str(SCRIPT), json.dumps(said)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def config(login: str = "", *, guests: bool = False) -> dict[str, Any]:
    return {"hosts": GUESTS if guests else {}, "tokenAuthUrl": login}


def jwt(**claims: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.x"


def page(name: str, query: str = "room=standup") -> list[str]:
    return [f"/static/vestibule/{name}?{query}"]


def failed(*words: Any) -> list[Any]:
    return ["connection.connectionFailed", *words]


def inside(*words: Any) -> dict[str, Any]:
    return {"emits": list(words), "inside": "yes"}


FRESH, STALE = jwt(exp=time.time() + 3600, name="ü?>"), jwt(exp=time.time() - 3600)
NOT_ALLOWED = "conference.connectionError.notAllowed"


def test_without_a_token_and_a_login_the_page_says_whom_to_ask(browser: Path) -> None:
    seen = visit(browser, config=config())
    assert (seen["gone"], seen["starts"]) == (page("no_token"), False)


def test_without_a_token_the_login_gets_the_room_once(browser: Path) -> None:
    first = visit(browser, "/b%C3%BCro%207", config=config("https://login.example.org/{room}"))
    assert first["gone"] == ["https://login.example.org/b%C3%BCro%207"]
    assert first["kept"] == ["vestibule login /b%C3%BCro%207"]
    assert not first["starts"]
    now = {first["kept"][0]: str(int(time.time() * 1000))}
    again = visit(browser, "/b%C3%BCro%207", config=config(LOGIN), stored=now)
    assert (again["gone"], again["starts"]) == (page("came_back", "room=b%C3%BCro%207"), False)
    other = visit(browser, "/other", config=config("https://login.example.org/{room}"), stored=now)
    assert other["gone"] == ["https://login.example.org/other"]
    later = {first["kept"][0]: str(int(time.time() * 1000) - 3600_000)}
    seen = visit(browser, "/b%C3%BCro%207", config=config("https://x.org/"), stored=later)
    assert seen["gone"] == ["https://x.org/"]


def test_a_loop_that_nobody_could_notice_does_not_begin(browser: Path) -> None:
    seen = visit(browser, config=config(LOGIN), stored=None)
    assert seen["gone"] == page("no_token")


def test_a_token_ends_the_count(browser: Path) -> None:
    seen = visit(
        browser,
        "/standup?jwt=x",
        config=config(LOGIN),
        stored={"vestibule login /standup": "5"},
        token=FRESH,
    )
    assert seen == {"gone": [], "heard": [], "starts": True, "kept": []}


def test_what_only_the_client_can_fill_in_is_left_to_it(browser: Path) -> None:
    by_client = config("https://login.example.org/?state={state}")
    seen = visit(browser, config=by_client, emits=failed(*REFUSED))
    assert (seen["gone"], seen["heard"], seen["starts"]) == ([], [REFUSED[0]], True)
    kept = {seen["kept"][0]: str(int(time.time() * 1000))}
    again = visit(browser, config=by_client, stored=kept)
    assert (again["gone"], again["starts"]) == (page("came_back"), False)
    asked = visit(
        browser, "/standup?vestibule=login", config=by_client, emits=failed(*REFUSED),
        stored=kept,
    )  # fmt: skip
    assert (asked["gone"], asked["heard"]) == ([], [REFUSED[0]])


@pytest.mark.parametrize(
    ("about", "name"),
    [
        ({"token": STALE, "emits": failed(REFUSED[0], "refused")}, "expired"),
        ({"token": "x", "emits": failed(REFUSED[0], "Not acceptable by exp (5 sec)")}, "expired"),
        ({"token": FRESH, "emits": failed(REFUSED[0], "Invalid signature")}, "refused"),
        ({"token": "nonsense", "emits": failed(REFUSED[0], None)}, "refused"),
        ({"token": FRESH, **inside("conference.failed", NOT_ALLOWED, "general")}, "other_room"),
        ({"token": FRESH, **inside("conference.failed", NOT_ALLOWED)}, "other_room"),
        ({**inside("conference.failed", NOT_ALLOWED, "general")}, "not_open"),
        ({"token": FRESH, **inside("conference.failed", NOT_ALLOWED, "room-creation-restriction")},
         "not_open"),
        ({**inside("conference.failed", NOT_ALLOWED, "authentication-required")}, "no_token"),
        ({"token": FRESH, **inside("conference.failed", "conference.destroyed", "bye")}, "ended"),
        ({"token": FRESH, **inside("conference.kicked", {}, {}, False)}, "removed"),
        ({"inside": "upgrade"}, "no_token"),
        ({"emits": failed(*REFUSED)}, "no_token"),
    ],
)  # fmt: skip
def test_each_end_has_its_page(browser: Path, about: dict[str, Any], name: str) -> None:
    seen = visit(browser, "/acme/standup?jwt=x", **about)
    assert seen["gone"] == page(name, "room=standup&tenant=acme")
    assert seen["heard"] == []


@pytest.mark.parametrize(
    ("about", "heard"),
    [
        ({"emits": failed("connection.droppedError")}, ["connection.droppedError"]),
        ({**inside("conference.failed", NOT_ALLOWED, "promotion-not-allowed")}, [NOT_ALLOWED]),
        ({**inside("conference.failed", "conference.connectionError.membersOnly", "x", True)},
         ["conference.connectionError.membersOnly"]),
        ({**inside("conference.kicked", {}, {}, True)}, ["kicked"]),
        ({**inside("conference.kicked", {}, {}, False), "framed": True}, ["kicked"]),
        ({**inside("conference.kicked", {}, {}, False), "breakout": True}, ["kicked"]),
        ({**inside("conference.failed", "conference.destroyed"), "framed": True},
         ["conference.destroyed"]),
        ({**inside("conference.failed", "conference.destroyed"), "breakout": True},
         ["conference.destroyed"]),
    ],
)  # fmt: skip
def test_the_client_goes_its_own_way_otherwise(
    browser: Path, about: dict[str, Any], heard: list[str]
) -> None:
    seen = visit(browser, **about)
    assert (seen["gone"], seen["heard"], seen["starts"]) == ([], heard, True)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/", {}),
        ("/acme/", {}),
        ("/a/b/c", {}),
        ("/standup#config.iAmRecorder=true", {}),
        ("/standup#config.iAmSipGateway=true", {}),
        ("/standup", {"nothing": True}),
    ],
)
def test_other_pages_machines_and_clients_are_left_alone(
    browser: Path, path: str, more: dict[str, Any]
) -> None:
    seen = visit(browser, path, config=config(), emits=failed(*REFUSED), **more)
    assert (seen["gone"], seen["heard"], seen["starts"]) == ([], [REFUSED[0]], True)
