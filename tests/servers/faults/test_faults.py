"""On a deployed server: what breaks later, what Vestibule reports, and that it repairs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences

from .conftest import BRIEF

pytestmark = pytest.mark.usefixtures("deployed")

_HOSTS_FILE = f"/etc/prosody/conf.avail/{DOMAIN}.cfg.lua"
# What the roles put on the server. Programs write their data and logs elsewhere.
_OURS = (
    "/etc/apt/",
    "/etc/jitsi/jicofo/jicofo.conf",
    "/etc/nginx/",
    "/etc/prosody/",
    "/etc/systemd/system/jicofo.service",
    "/etc/systemd/system/nginx.service.d/",
    "/etc/systemd/system/prosody.service.d/",
    "/etc/vestibule/",
    "/usr/local/share/",
    "/var/lib/prosody/",
)


def start_of(server: Server) -> dict[str, str]:
    """What is another after a restart of Prosody."""
    shown = server.run("systemctl show --property=ActiveState,MainPID,InvocationID prosody")
    return dict(line.split("=", 1) for line in shown.splitlines())


def our_files(server: Server) -> dict[str, str]:
    """The files of the roles in a snapshot: content, owner and mode."""
    names = tuple(f"{kind} {path}" for kind in ("file", "content") for path in _OURS)
    return {name: state for name, state in server.snapshot().items() if name.startswith(names)}


@contextmanager
def suite(server: Server, name: str) -> Iterator[None]:
    """The server also knows the packages in this suite of the repository."""
    source = "/etc/apt/sources.list.d/another-suite.sources"
    ours = server.run("cat /etc/apt/sources.list.d/vestibule-jitsi.sources")
    try:
        server.run(f"cat > {source}; apt-get update", stdin=ours.replace("stable/", f"{name}/"))
        yield
    finally:
        server.run(f"rm {source}")


@contextmanager
def edited(server: Server, edit: str) -> Iterator[None]:
    """Prosody runs with a hosts file that somebody edited by hand, by this command of sed."""
    original = server.run(f"cat {_HOSTS_FILE}")
    server.run(f"sed -i '{edit}' {_HOSTS_FILE}; systemctl restart prosody")
    assert server.run(f"cat {_HOSTS_FILE}") != original
    server.wait_for_listener(5280)
    try:
        yield
    finally:
        server.run(f"cat > {_HOSTS_FILE}; systemctl restart prosody", stdin=original)
        server.wait_for_listener(5280)


def test_a_run_that_has_nothing_to_do_looks_once(controller: Controller) -> None:
    # Whatever ran before had a key of its own
    settled = controller.deploy("--skip-tags=jitsi_verify", jitsi_history_new_keys=True)
    assert settled.returncode == 0, settled.output[-3000:]
    run = controller.deploy("-vvv", "--skip-tags=jitsi_verify")
    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] == 0
    assert 0 < run.remote_executions <= 6
    # The tasks that it went past would have been skipped
    without = {"vestibule_all_settled": False, "jitsi_foreign_variables": ["vestibule_all_settled"]}
    asked = controller.deploy("--skip-tags=jitsi_verify", **without)
    assert asked.returncode == 0, asked.output[-3000:]
    assert asked.recap["changed"] == 0
    assert asked.recap["skipped"] > run.recap["skipped"]


def test_a_refused_configuration_leaves_the_old_one_running(
    server: Server, controller: Controller
) -> None:
    before, began = our_files(server), start_of(server)
    run = controller.deploy(
        prosody_settings={"cross_domain_bosh": True},
        # A new key of the same run is not for the old configuration
        jitsi_token_secret="kanarienvogel-4Zx8k2Qv9LmT4rB7wYc1NfH6u",
    )

    assert run.returncode != 0
    assert "`prosodyctl check config` refused the new files" in run.messages[-1]
    assert "the previous ones are back in place" in run.messages[-1]
    assert "lua-unbound" not in run.messages[-1]
    assert "'cross_domain_bosh' -- instead, use 'http_cors_override'" in run.messages[-1]
    assert differences(before, our_files(server)) == []
    assert began["ActiveState"] == "active"
    assert start_of(server) == began


# Ends the connection of a run that tries this library after it wrote a word into a file
_TRAP = """
if os.execute("grep -qs {word} {file}") then os.execute("pkill -KILL sshd-session") end
error("not there")
"""


def cut_off(
    server: Server, controller: Controller, word: str, file: str, **variables: Any
) -> Deployment:
    """A run that loses its server between writing a configuration and the restart."""
    library = "/usr/share/lua/5.2/basexx.lua"
    server.run(f"mv {library} {library}.away")
    server.run(f"cat > {library}", stdin=_TRAP.format(word=word, file=file))
    try:
        cut = controller.deploy(**variables)
    finally:
        server.run(f"mv {library}.away {library}")
    assert cut.recap["unreachable"] == 1, cut.output[-3000:]
    return cut


def test_a_run_that_was_cut_off_is_completed_by_the_next(
    server: Server, controller: Controller
) -> None:
    began = start_of(server)
    cut_off(server, controller, "renamed", _HOSTS_FILE, jitsi_token_issuer="renamed")
    assert start_of(server) == began
    # For the case that the next one fails; secrets are among it
    assert server.run("stat --format=%a:%U /var/lib/vestibule/former") == "700:root\n"

    run = controller.deploy(jitsi_token_issuer="renamed", **BRIEF)
    assert run.returncode == 0, run.output[-3000:]
    assert start_of(server) != began
    assert server.run("ls /var/lib/vestibule/former", ok=(2,)) == ""


def test_a_run_that_fails_before_a_start_changes_nothing_that_runs(
    server: Server, controller: Controller
) -> None:
    """Files are what they were, so that a crash later on does not bring up the new ones."""
    library = "/usr/share/lua/5.2/basexx.lua"
    before, began = our_files(server), start_of(server)
    server.run(f"mv {library} {library}.away")
    run = controller.deploy(jitsi_token_issuer="unproven")
    server.run(f"mv {library}.away {library}")

    assert run.returncode != 0
    assert "these Lua libraries do not load in Lua 5.4" in run.messages[-1]
    assert "basexx" in run.messages[-1]
    assert "put the former configuration back" in run.messages[-1]
    assert differences(before, our_files(server)) == []
    assert start_of(server) == began


def test_jicofo_reads_what_a_run_that_was_cut_off_wrote(
    server: Server, controller: Controller
) -> None:
    def jicofo_started() -> str:
        return server.run("systemctl show --property=ActiveEnterTimestampMonotonic jicofo")

    settings = json.loads(server.run("grep -v '^#' /etc/jitsi/jicofo/jicofo.conf"))["jicofo"]
    del settings["xmpp"]["client"]["password"]
    changed = {**settings, "language": "eo"}
    began = jicofo_started()
    written = "/etc/jitsi/jicofo/jicofo.conf"
    cut_off(server, controller, "language", written, jicofo_settings=changed)
    assert '"language": "eo"' in server.run("cat /etc/jitsi/jicofo/jicofo.conf")
    assert jicofo_started() == began

    run = controller.deploy("--skip-tags=jitsi_verify", jicofo_settings=changed)
    assert run.returncode == 0, run.output[-3000:]
    assert jicofo_started() != began
    assert controller.deploy("--skip-tags=jitsi_verify").returncode == 0


def test_java_trusts_what_a_run_that_was_cut_off_copied(
    server: Server, controller: Controller
) -> None:
    """Its store is older than the certificate then."""
    store = "/etc/ssl/certs/java/cacerts"
    server.run(f"touch --date=@1 {store}")
    run = controller.deploy("--tags=jicofo")
    assert run.returncode == 0, run.output[-3000:]
    assert int(server.run(f"stat --format=%Y {store}")) > 1
    assert controller.deploy("--tags=jicofo").recap["changed"] == 0


def test_prosody_stops_itself_without_a_library_and_is_mended(
    server: Server, controller: Controller
) -> None:
    server.run(
        "rm /usr/local/share/lua/5.4/basexx.lua; systemctl restart prosody;"
        "timeout 90 sh -c 'while systemctl is-active --quiet prosody; do sleep 0.1; done'"
    )
    assert start_of(server)["ActiveState"] == "failed"
    said = server.run("journalctl --sync; journalctl --unit prosody --lines 200 --output cat")
    assert "module 'basexx' not found" in said
    assert f'Unguarded door on {DOMAIN}: authentication "token" is not in effect' in said
    assert "Prosody stops, because a guard of its doors did not load" in said
    proof = controller.play("verify.yml", jitsi_domain=DOMAIN)
    assert proof.returncode != 0
    # Of several doors it names the last one
    assert "prosody stopped itself. Unguarded door on " in proof.messages[-1]
    assert "module 'basexx' not found" in proof.messages[-1]

    run = controller.deploy(**BRIEF)
    assert run.returncode == 0, run.output[-3000:]
    assert run.recap["changed"] > 0


def test_a_module_that_does_not_load_fails_the_run(controller: Controller) -> None:
    run = controller.deploy(prosody_modules=["fail_closed", "no_such_module"])

    assert run.returncode != 0
    assert "Prosody runs, but modules did not load" in run.messages[-1]
    assert "error Unable to load module 'no_such_module'" in run.messages[-1]
    assert "Install what the lines name as missing, then restart Prosody." in run.messages[-1]
    assert controller.deploy("--skip-tags=jitsi_verify").returncode == 0


@pytest.mark.parametrize(
    ("name", "flag", "version"),
    [
        pytest.param("stable", "--reinstall", "1.0.1-1~standin", id="installed again"),
        pytest.param("next", "--only-upgrade", "1.0.2-1~standin", id="upgraded"),
    ],
)
def test_packages_leave_our_files_alone(
    server: Server, controller: Controller, name: str, flag: str, version: str
) -> None:
    packages = ("jitsi-meet-prosody", "jitsi-meet-tokens", "jicofo")
    before, began = our_files(server), start_of(server)
    with suite(server, name):
        said = server.run(
            f"DEBIAN_FRONTEND=noninteractive apt-get install --yes {flag} {' '.join(packages)}"
        )
    assert [each for each in packages if f"Setting up {each} ({version})" not in said] == []
    assert differences(before, our_files(server)) == []
    assert start_of(server) == began

    # What still runs is older than what is there
    run = controller.deploy(**BRIEF)
    assert run.returncode == 0, run.output[-3000:]
    assert "Prosody still runs what was there before jitsi-meet-prosody" in run.output
    assert differences(before, our_files(server)) == []
    assert start_of(server) != began


# Holds the lock of apt until a module of Ansible has waited for it
_HOARD = """
import fcntl, glob, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
waited, deadline = 0, time.monotonic() + 110
while waited < 5 and time.monotonic() < deadline:
    time.sleep(1)
    waited = waited + 1 if glob.glob("/tmp/ansible_packages_payload_*") else 0
"""


def test_an_installation_waits_for_another_program(server: Server, controller: Controller) -> None:
    """It ends some seconds after the installation has begun; somebody removed a package before."""
    server.run("apt-get remove --yes jicofo; cat > /run/hoard.py", stdin=_HOARD)
    server.run("systemd-run --quiet --collect python3 /run/hoard.py")
    run = controller.deploy("--tags=jicofo")

    assert run.returncode == 0, run.output[-3000:]
    said = re.search(r"Waited (\d+) s for python3 \(process \d+\)", run.output)
    assert said, run.output[-3000:]
    assert int(said[1]) > 0
    assert server.run("dpkg-query --show --showformat '${db:Status-Status}' jicofo") == "installed"


def test_a_feature_without_its_module_is_refused(server: Server, controller: Controller) -> None:
    module = "/usr/share/jitsi-meet/prosody-plugins/mod_muc_wait_for_host.lua"
    before, began = our_files(server), start_of(server)
    server.run(f"mv {module} {module}.away")
    run = controller.deploy(jitsi_features=["guests"])
    server.run(f"mv {module}.away {module}")

    assert run.returncode != 0
    assert "jitsi-meet-prosody 1.0.2-1~standin on faults lacks Prosody modules" in run.messages[-1]
    assert "mod_muc_wait_for_host (for guests)" in run.messages[-1]
    assert "take guests out of jitsi_features" in run.messages[-1]
    assert differences(before, our_files(server)) == []
    assert start_of(server) == began


def test_a_changed_password_is_brought_back(server: Server, controller: Controller) -> None:
    account = f"cat /var/lib/prosody/auth%2e{DOMAIN.replace('.', '%2e')}/accounts/focus.dat"
    server.run(f"prosodyctl passwd focus@auth.{DOMAIN}", stdin="hijacked\nhijacked\n")
    hijacked, began = server.run(account), start_of(server)
    run = controller.deploy(**BRIEF)

    # The access case needs Jicofo, which had to log in again
    assert run.returncode == 0, run.output[-3000:]
    assert start_of(server) != began
    assert server.run(account) != hijacked


@pytest.mark.parametrize(
    ("edit", "case"),
    [
        pytest.param('s/"token_verification",//', "wrong_room_refused", id="rooms are not checked"),
        pytest.param(
            "s/allow_empty_token = false/allow_empty_token = true/",
            "no_token_refused",
            id="no token is needed",
        ),
        pytest.param(
            's/"muc_filter_access",\\?//', "internal_muc_closed", id="bridges' rooms are open"
        ),
        pytest.param('s/"local_login",\\?//', "auth_host_closed", id="auth. is open"),
    ],
)
def test_an_opened_door_fails_the_proof(
    server: Server, controller: Controller, edit: str, case: str
) -> None:
    with edited(server, edit):
        run = controller.play("verify.yml", jitsi_domain=DOMAIN, jitsi_verify_cases=[case])

    assert run.returncode != 0
    assert "verdicts are wrong: " in run.messages[-1]
    assert f"{case} over websocket: " in run.output
    assert f"{case} over bosh: " in run.output


def test_an_opened_door_is_closed_again(server: Server, controller: Controller) -> None:
    before = our_files(server)
    with edited(server, "s/allow_empty_token = false/allow_empty_token = true/"):
        run = controller.deploy(jitsi_verify_cases=["valid_token_enters", "no_token_refused"])

        assert run.returncode == 0, run.output[-3000:]
        assert differences(before, our_files(server)) == []
