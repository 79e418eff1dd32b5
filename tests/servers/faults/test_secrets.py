"""In the first deployment, no secret gets where it does not belong.

It runs with all the verbosity that Ansible has for people, while every process is watched. Then
everything is searched that could have kept a secret. Each search has a control: what is planted
there is found.
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import yaml

from filter_plugins.jitsi_jwt import jitsi_jwt
from filter_plugins.to_lua import to_lua
from tests.servers.faults import leaks
from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server

from .conftest import NAME

# Everything that can go wrong in Lua, JSON, YAML, a shell and a format string
_TOKEN_SECRET = f"{secrets.token_hex(16)}\"'\\n%s%%$(id)`#äß→{secrets.token_hex(16)}"


@dataclass(frozen=True)
class Watched:
    """A deployment, and what processes were given meanwhile."""

    run: Deployment
    secrets: dict[str, str] = field(repr=False)
    processes_of_server: str = field(repr=False)
    processes_of_controller: str = field(repr=False)


@pytest.fixture(scope="module")
def watched(server: Server, controller: Controller) -> Watched:
    assert server.is_fresh(), f"molecule destroy, create and prepare --scenario-name {NAME} first"
    with leaks.sampling_both(server) as (there, here):
        run = controller.deploy("-vvv", "--diff", jitsi_token_secret=_TOKEN_SECRET)
    assert run.returncode == 0, run.output[-6000:]
    store = controller.inventory.parent / ".secrets" / f"{NAME}.yml"
    generated = yaml.safe_load(store.read_text(encoding="utf-8"))
    assert generated.keys() >= {"focus_password", "bridge_password"}
    return Watched(run, {**generated, "token_secret": _TOKEN_SECRET}, there.text, here.text)


def test_a_secret_of_special_characters_works(watched: Watched) -> None:
    """The access cases were played with it: tokens that it signed enter, others do not."""
    report = ROOT / "build" / "reports" / f"{NAME}-access.json"
    rows = json.loads(report.read_text(encoding="utf-8"))
    entered = [row for row in rows if row["case"] == "valid_token_enters"]
    assert {row["transport"] for row in entered} == {"websocket", "bosh"}
    assert [row for row in rows if not row["ok"]] == []


def test_no_secret_in_the_output(watched: Watched) -> None:
    assert "TASK [prosody : Configure | Write the keys]" in watched.run.output
    assert leaks.found_in(watched.run.output, watched.secrets) == set()
    assert not leaks.TOKEN.search(watched.run.output)


def test_no_secret_where_a_second_run_looks(
    server: Server, controller: Controller, watched: Watched
) -> None:
    """It sends all of them at once."""
    flags = ("-vvv", "--diff", "--skip-tags=jitsi_verify")
    run = controller.deploy(*flags, jitsi_token_secret=_TOKEN_SECRET)
    assert run.returncode == 0, run.output[-6000:]
    assert "TASK [Look once" in run.output
    assert "TASK [prosody : Configure | Write the keys]" not in run.output
    assert leaks.found_in(run.output, watched.secrets) == set()
    assert leaks.found_in(leaks.journal(server), watched.secrets) == set()


def test_no_secret_in_a_command_line_or_environment_of_the_server(watched: Watched) -> None:
    assert "/usr/bin/prosody" in watched.processes_of_server
    assert leaks.found_in(watched.processes_of_server, watched.secrets) == set()


def test_no_secret_in_a_command_line_or_environment_of_the_controller(watched: Watched) -> None:
    assert "playbooks/site.yml" in watched.processes_of_controller
    assert leaks.found_in(watched.processes_of_controller, watched.secrets) == set()


def test_no_secret_in_the_journal(server: Server, watched: Watched) -> None:
    assert leaks.found_in(leaks.journal(server), watched.secrets) == set()


def test_secrets_are_in_these_files_of_the_server_only(server: Server, watched: Watched) -> None:
    """Each is where its program reads it; of the passwords Prosody keeps keys that are derived."""
    assert leaks.files_of_server(server, watched.secrets) == {
        f"/etc/prosody/conf.avail/{DOMAIN}.secrets.cfg.lua": {"token_secret", "turn_secret"},
        "/etc/vestibule/tokens/keys.json": {"token_secret"},
        "/etc/jitsi/jicofo/jicofo.conf": {"focus_password"},
        "/etc/jitsi/videobridge/jvb.conf": {"bridge_password"},
        "/etc/vestibule/turn/turnserver.conf": {"turn_secret"},
    }


@pytest.mark.parametrize("user", ["focus", "jvb"])
def test_accounts_are_kept_as_scram_keys(server: Server, watched: Watched, user: str) -> None:
    folder = f"auth.{DOMAIN}".replace(".", "%2e")
    account = server.run(f"cat /var/lib/prosody/{folder}/accounts/{user}.dat")
    assert "stored_key" in account
    assert "password" not in account


def test_no_secret_in_what_the_controller_keeps(controller: Controller, watched: Watched) -> None:
    folders = [controller.home, controller.temporary, ROOT / "build" / "reports"]
    assert leaks.files_of_controller(folders, watched.secrets) == {}


def test_no_token_in_a_log(server: Server, watched: Watched) -> None:
    """The access cases have sent dozens, in ways that make servers log them."""
    assert "/xmpp-websocket" in server.run(f"cat /var/log/nginx/{DOMAIN}.log")
    assert not leaks.TOKEN.search(leaks.journal(server))
    pattern = shlex.quote(leaks.TOKEN.pattern)
    search = f"grep --recursive --text --files-with-matches --extended-regexp {pattern} /var/log"
    assert server.run(search, ok=(1,)) == ""


# Controls: every search above finds what is there

_SEARCHED = ("/tmp", "/var/tmp", "/var/log", "/var/cache/debconf", "/root", "/run", "/etc")  # noqa: S108 — not used as temporary folders
_PLANTED = {"planted": f'{secrets.token_urlsafe(24)}"\\%ä'}


@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(str, id="as it is"),
        pytest.param(json.dumps, id="JSON"),
        pytest.param(to_lua, id="Lua"),
        pytest.param(urllib.parse.quote, id="URL"),
        pytest.param(lambda text: base64.b64encode(text.encode()).decode(), id="base64"),
        pytest.param(
            lambda text: base64.b64encode(f"ab{text}cd".encode()).decode(),
            id="base64 of a longer text",
        ),
        pytest.param(
            lambda text: base64.urlsafe_b64encode(f"a{text}".encode()).decode(), id="base64url"
        ),
    ],
)
def test_control_every_spelling_is_found(spelling: Callable[[str], str]) -> None:
    text = f"before {spelling(_PLANTED['planted'])} after"
    assert leaks.found_in(text, _PLANTED) == {"planted"}
    assert leaks.found_in(text, {"other": secrets.token_urlsafe(24)}) == set()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param('sh -c "sleep 2; :" "$(cat)"', id="command line"),
        pytest.param('LEAK="$(cat)" sleep 2', id="environment"),
    ],
)
def test_control_processes_are_seen(server: Server, script: str) -> None:
    with leaks.sampling_both(server) as (there, here):
        server.run(script, stdin=_PLANTED["planted"])
        subprocess.run(["sh", "-c", script], input=_PLANTED["planted"], text=True, check=True)
    assert leaks.found_in(there.text, _PLANTED) == {"planted"}
    assert leaks.found_in(here.text, _PLANTED) == {"planted"}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(slice(None), id="whole token"),
        pytest.param(slice(0, 1), id="header alone"),
        pytest.param(slice(1, None), id="claims and signature"),
    ],
)
def test_control_a_token_is_found(part: slice) -> None:
    claims = {"room": "standup"}
    token = jitsi_jwt(
        claims, secret=_TOKEN_SECRET, issuer="vestibule", audience="jitsi", domain=DOMAIN
    )
    assert leaks.TOKEN.search(f"GET /?token={'.'.join(token.split('.')[part])} HTTP/1.1")


def test_control_the_journal_is_searched(server: Server) -> None:
    server.run("systemd-cat", stdin=f"a client said {_PLANTED['planted']}\n")
    assert leaks.found_in(leaks.journal(server), _PLANTED) == {"planted"}


def test_control_files_of_the_server_are_searched(server: Server) -> None:
    paths = {f"{folder}/planted" for folder in _SEARCHED}
    server.run(f"tee {' '.join(paths)}", stdin=json.dumps({"password": _PLANTED["planted"]}))
    found = leaks.files_of_server(server, _PLANTED)
    server.run(f"rm {' '.join(paths)}")
    # The journal has what the control before this one left there
    assert {path for path in found if "/journal/" not in path} == paths


def test_control_files_of_the_controller_are_searched(controller: Controller) -> None:
    path = controller.temporary / "planted"
    path.write_text(f"ansible {_PLANTED['planted']}", encoding="utf-8")
    assert leaks.files_of_controller([controller.folder], _PLANTED) == {str(path): {"planted"}}
    path.unlink()
