"""What was deployed comes back as it was, goes without a trace, and outlives its server.

Each test goes on with the servers as the one before left them, as deployments take their time.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.servers.prosody_modules.people import log_in
from tests.servers.support import DOMAIN, ROOT, Server, differences, with_all
from vestibule.access.scene import Entrance
from vestibule.access.tokens import Issuer
from vestibule.access.transports import TRANSPORTS, front_door
from vestibule.access.xmpp import Room

from .conftest import Operator, listing

# What tools keep of the files before: of users, of packages, and of debconf. And an empty folder
# that dpkg leaves where it is killed
_OF_TOOLS = re.compile(
    r"^(content|entry) (/etc/(passwd|group|shadow|gshadow)-|/var/lib/dpkg/[a-z]+-old|/var/www)$"
)
# What is no configuration: packages and their logs, stores that programs make of what is compared,
# notes of runs with times in them, copies, and what Prosody counts
_NO_CONFIGURATION = re.compile(
    r"^\w+ (/var/(?!lib/prosody|lib/vestibule/files)|/usr/(?!local)|/etc/ssl/certs/"
    r"|/var/lib/prosody/.*cron[.]dat$|/etc/(passwd|group|shadow|gshadow)-?$|/etc/sub[ug]id"
    r"|/etc/ld.so.cache$|/etc/.java|/etc/ssl/private/ssl-cert-snakeoil|/etc/ssl/certs)"
)


def configuration(server: Server) -> dict[str, str]:
    """What deployments decide on."""
    found = {
        name: state for name, state in listing(server).items() if not _NO_CONFIGURATION.match(name)
    }
    assert len(found) > 200
    return found


def accounts(server: Server) -> str:
    """Digests of the accounts, whose salts are random."""
    return server.run(
        "cd /var/lib/prosody && find . -name '*.dat' ! -name cron.dat | sort | xargs sha256sum"
    )


def answer_to(server: Server, token: str) -> str:
    """What the front door says to somebody with a token, an empty text where it lets them in."""

    async def asked() -> str:
        address = server.run("hostname -I").split()[0]
        certificate = server.run(f"cat /etc/vestibule/web/{DOMAIN}.crt")
        async with front_door(DOMAIN, address, 443, certificate) as door:
            # Whose own key signs nothing here
            entrance = Entrance(
                door, TRANSPORTS["websocket"], Issuer("-" * 32, "-", "-", DOMAIN), 30.0
            )
            return await log_in(entrance, Room("standup", DOMAIN), token)

    return asyncio.run(asked())


@pytest.fixture(name="fresh", scope="module")
def _fresh(server: Server) -> dict[str, str]:
    """The server before anything was deployed."""
    assert server.is_fresh()
    return listing(server)


@pytest.fixture(name="token", scope="module")
def _token(fresh: Mapping[str, str], operator: Operator) -> str:
    """A token that was minted when the server was deployed first."""
    assert fresh
    operator.succeeds("site.yml")
    return operator.link()


@pytest.fixture(name="people", scope="module")
def _people(server: Server, token: str) -> str:
    """Accounts of the server that is lost."""
    assert token
    return accounts(server)


@pytest.fixture(name="backup", scope="module")
def _backup(operator: Operator, token: str, people: str) -> Path:
    assert people
    assert token
    operator.succeeds("backup.yml", folder=str(operator.folder / "backups"))
    (path,) = (operator.folder / "backups").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def test_a_backup_is_shown_without_a_host(operator: Operator, backup: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "vestibule.command", "show-backup", str(backup)],
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(operator.password)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert f"{DOMAIN} (host reinstall)" in told.stdout
    assert "token_secret" in told.stdout
    body = backup.read_bytes()
    assert DOMAIN.encode() not in body
    assert b"token_secret" not in body


def test_what_is_surely_ours_is_known_without_notes(server: Server, operator: Operator) -> None:
    """As on a server that was deployed before there were any."""
    notes = "/var/lib/vestibule/before"
    server.run(f"mv {notes} {notes}.away")
    asked = operator.succeeds("uninstall.yml", "--check", "--diff")
    server.run(f"mv {notes}.away {notes}")
    gone = [line[1:] for line in asked.output.splitlines() if line[:1] == "-"]
    assert "/etc/vestibule/tokens/keys.json" in gone
    assert "/etc/jitsi/jicofo/jicofo.conf" in gone
    assert f"/etc/nginx/sites-enabled/{DOMAIN}.conf" in gone
    assert [line for line in gone if line.startswith(("package ", "user "))] == []
    said = " ".join(asked.output.split())
    assert "was deployed before Vestibule noted what was there" in said
    assert "package jicofo stays: nobody noted whether it was there before" in said


def test_uninstalling_says_before_what_goes_and_is_finished_where_it_was_cut_off(
    server: Server, operator: Operator, fresh: Mapping[str, str], backup: Path
) -> None:
    assert backup.exists()
    before = listing(server)
    of_packages = set(server.run("cat /var/lib/dpkg/info/*.list").splitlines())
    asked = operator.succeeds("uninstall.yml", "--check", "--diff", data="purge")
    assert differences(before, listing(server)) == []
    said = {
        line[1:].split(" (")[0].rstrip("/") for line in asked.output.splitlines() if line[:1] == "-"
    }

    killer = threading.Thread(
        target=server.run,
        args=(
            "timeout 300 sh -c 'until pgrep --exact dpkg; do sleep 0.05; done';"
            " pkill --signal KILL --exact python3",
        ),
    )
    killer.start()
    cut = operator.runs("uninstall.yml", data="purge")
    killer.join()
    assert cut.returncode != 0
    assert server.run("ls /var/lib/vestibule/before/manifest.json")

    operator.succeeds("uninstall.yml", data="purge")
    after = listing(server)
    left = [each for each in differences(fresh, after) if not _OF_TOOLS.match(each.split(": ")[0])]
    assert left == []
    # Whatever is gone was named, or was a package's, or is made of what was named
    gone = {name.split(" ", 1)[1] for name in before.keys() - after.keys()} - of_packages
    gone = {path for path in gone if not path.startswith("/etc/ssl/certs/")}
    ours = {path for path in gone if re.search("vestibule|meet[.]example|turnserver", path)}
    assert len(ours) > 60
    purged = {each for each in said if each.startswith("/var/")}
    named = {
        path for path in ours if path in said or any(path.startswith(f"{each}/") for each in purged)
    }
    unnamed = {path for path in ours - named if not path.startswith("/var/lib/vestibule/")}
    assert unnamed == {"/var/lib/vestibule"}
    again = operator.succeeds("uninstall.yml", data="purge")
    assert again.recap["changed"] == 0


_WATCH = r"""
import time, urllib.request
best = last = time.monotonic()
gap = 0.0
while not __import__("os").path.exists("/run/watched"):
    try:
        with urllib.request.urlopen("http://127.0.0.1:8090/", timeout=2) as answer:
            assert answer.read() == b"theirs"
        now = time.monotonic()
        gap, last = max(gap, now - last), now
    except Exception:
        pass
    time.sleep(0.02)
print(max(gap, time.monotonic() - last))
"""


_ASK = """
import urllib.request
with urllib.request.urlopen("http://127.0.0.1:8090/", timeout=2) as answer:
    print(answer.read().decode(), end="")
"""


@with_all
def test_a_backup_of_another_server_or_of_nobody_is_refused_before_the_host_is_asked(
    operator: Operator, backup: Path
) -> None:
    """The host does not even answer."""
    away = {"ansible_host": "192.0.2.1", "backup": str(backup)}
    for more, words in (
        ({"jitsi_domain": "other.example.org"}, "is a backup of meet.example.org"),
        ({"backup": str(operator.inventory)}, "no backup that Vestibule made"),
        ({"backup": None}, "backup is not set"),
    ):
        given = {name: value for name, value in {**away, **more}.items() if value is not None}
        run = operator.runs("restore.yml", **given)
        assert run.returncode != 0
        assert words in " ".join(run.output.split())
        assert "UNREACHABLE" not in run.output
    run = operator.runs("restore.yml", **away)  # a control
    assert "UNREACHABLE" in run.output


@with_all
def test_tokens_from_before_a_disaster_work_after_it(
    operator: Operator, replacement: Server, token: str, people: str, backup: Path
) -> None:
    """Onto another distribution, where a site of somebody else is, with secrets from the backup."""
    replacement.run(
        "apt-get update --quiet >/dev/null\n"
        "DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet nginx >/dev/null\n"
        "echo 'server { listen 127.0.0.1:8090; return 200 theirs; }'"
        " >/etc/nginx/conf.d/theirs.conf\n"
        "systemctl enable --now nginx; systemctl reload nginx"
    )
    shutil.rmtree(operator.store.parent)
    run = operator.succeeds("restore.yml", on="replacement", backup=str(backup))
    assert accounts(replacement) == people
    assert operator.store.read_bytes().startswith(b"$ANSIBLE_VAULT")
    assert answer_to(replacement, token) == ""
    assert "right, 0 wrong" in run.output


@pytest.fixture(name="first", scope="module")
def _first(replacement: Server) -> dict[str, str]:
    """The configuration of the server, and digests of its accounts, before it is reinstalled."""
    return {**configuration(replacement), "accounts": accounts(replacement)}


@with_all
@pytest.mark.parametrize("time", ["once", "twice"])
def test_what_is_reinstalled_is_what_was_there(
    replacement: Server, operator: Operator, first: Mapping[str, str], time: str
) -> None:
    operator.succeeds("reinstall.yml", on="replacement")
    after = {**configuration(replacement), "accounts": accounts(replacement)}
    assert differences(first, after) == []


@with_all
def test_what_was_reinstalled_is_settled(
    replacement: Server, operator: Operator, token: str
) -> None:
    assert answer_to(replacement, token) == ""
    again = operator.succeeds("site.yml", "--skip-tags=jitsi_verify", on="replacement")
    assert again.recap["changed"] == 0


@with_all
def test_what_others_run_goes_on_when_ours_goes(
    operator: Operator, replacement: Server, token: str
) -> None:
    assert token
    replacement.run(
        "systemd-run --quiet --unit theirs rmiregistry 1099\n"
        "echo 'VirtualHost \"chat.example.org\"' >/etc/prosody/conf.d/theirs.cfg.lua\n"
        "echo '// Ask Ada' >>/etc/vestibule/web/config.js\n"
        "cat >/run/watch.py\n"
        "systemd-run --quiet --unit watch --property StandardOutput=file:/run/gap"
        " python3 /run/watch.py\n",
        stdin=_WATCH,
    )
    java = replacement.run("systemctl show --property MainPID theirs")
    run = operator.succeeds("uninstall.yml", on="replacement")
    replacement.run("touch /run/watched; until [ -s /run/gap ]; do sleep 0.1; done")
    assert float(replacement.run("cat /run/gap")) < 5  # seconds, in which nginx is started anew
    assert replacement.run("python3 -", stdin=_ASK) == "theirs"
    assert replacement.run("systemctl show --property MainPID theirs") == java
    assert replacement.run("systemctl is-active theirs prosody nginx").split() == ["active"] * 3
    hosts = replacement.run("prosodyctl shell host list")
    assert "chat.example.org" in hosts
    assert DOMAIN not in hosts
    said = " ".join(run.output.split())
    assert "package nginx" not in said  # it was there before
    assert "package prosody stays: it serves /etc/prosody/conf.d/theirs.cfg.lua" in said
    assert "java runs, which is not ours" in said or "rmiregistry runs, which is not ours" in said
    assert "/etc/vestibule/web/config.js stays: somebody changed it" in said
    assert replacement.run("tail -n 1 /etc/vestibule/web/config.js") == "// Ask Ada\n"
    assert replacement.run("ls /etc/nginx/sites-enabled") == "default\n"
    names = replacement.run("dpkg-query --show --showformat '${Package}\n'").split()
    assert not {"jicofo", "jitsi-videobridge2", "jitsi-meet-web", "coturn"} & {*names}
    # What was kept is for root alone, and of nobody who is gone, whose number somebody else may get
    assert replacement.run("stat --format '%a %U' /var/backups/vestibule") == "700 root\n"
    kept = replacement.run("find /var/backups/vestibule -name 'focus.dat' -o -name '*.key'")
    assert f"/etc/vestibule/web/{DOMAIN}.key" in kept
    assert "accounts/focus.dat" in kept
    strays = "find /etc /var /usr/local -xdev \\( -nouser -o -nogroup \\)"
    assert replacement.run(strays) == ""
