"""Runs that end half way, and what a server is like afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server

_PATIENCE = 900  # seconds after which a run hangs
_JITSI = ("jicofo", "jitsi-meet-prosody", "jitsi-meet-tokens")
# Two wishes, of which each changes what every service reads: packages, files and a unit
FIRST: Mapping[str, Any] = {
    "jitsi_versions": dict.fromkeys(_JITSI, "1.0.1-1~standin"),
    "jitsi_verify_cases": ["valid_token_enters"],
}
SECOND: Mapping[str, Any] = {
    **FIRST,
    "jitsi_versions": dict.fromkeys(_JITSI, "1.0.2-1~standin"),
    "jitsi_tokens_repository_suite": "next/",
    "jitsi_token_issuer": "renamed",
    "jitsi_features": ["lobby"],
    "jitsi_web_worker_connections": 5000,
    "jitsi_turn_user_quota": 50,
    "jitsi_videobridge_memory": 300,
}
# What programs write by themselves, what tells of moments, secrets and what is made of them; what
# has the address of a container, which is another one after each boot
_FLEETING = re.compile(
    r"^(time |service |listener |content (/var/cache/debconf/|/var/lib/vestibule)"
    r"|(content|file) (/var/lib/dpkg/|/var/lib/prosody/.*(cron|[.]dat)|/var/log/)"
    r"|(content|file) (/var/lib/vestibule/held|/var/backups)"
    r"|(content|file) /etc/([.]pwd|group-|gshadow|passwd-|shadow)"
    r"|content /etc/(hosts|vestibule/turn/turnserver[.]conf)$"
    r"|(content|file) (/var/lib/(systemd|private|polkit-1|ucf|pam|dhcp)|/root/[.]))"
)
_OF_ONE_SERVER = re.compile(
    r"^content (/etc/(hostname|hosts|machine-id|mailname|ssh/|resolv.conf|ssl/|subuid|subgid)"
    r"|/etc/(passwd|group|ld.so.cache|[.]java/)|/var/lib/turn/"
    r"|/etc/(vestibule|prosody|jitsi|nginx)/|/etc/apt/|/var/lib/(prosody|dbus)|/usr/local/share/)"
    r"|^file (/etc/ssl/certs/[0-9a-f]{8}[.]|/var/lib/prosody/)"
)
# When each service read what it runs, and what was written since: the test's own look
_READ = r"""
moment() { date -d "$(systemctl show -P "$2" "$1")" +%s; }
check() {
    name=$1; since=$2; shift 2
    systemctl is-active --quiet "$name" || echo "$name does not run"
    find -L "$@" -type f -newermt "@$((since + 1))" 2> /dev/null | sed "s|^|$name has not read |"
}
worker=$(pgrep -o -f '^nginx: worker process$')
nginx=$(($(date +%s) - $(ps -o etimes= -p "$worker")))
check prosody "$(moment prosody ExecMainStartTimestamp)" /etc/prosody \
    /etc/systemd/system/prosody.service.d /usr/local/share/vestibule \
    /var/lib/dpkg/info/prosody.list /var/lib/dpkg/info/jitsi-meet-prosody.list
check jicofo "$(moment jicofo ExecMainStartTimestamp)" /etc/jitsi/jicofo \
    /etc/systemd/system/jicofo* /var/lib/dpkg/info/jicofo.list /usr/local/share/ca-certificates
check nginx "$nginx" /etc/nginx/sites-enabled
check nginx "$(moment nginx ExecMainStartTimestamp)" /etc/systemd/system/nginx.service.d \
    /var/lib/dpkg/info/nginx.list
check coturn "$(moment coturn ExecMainStartTimestamp)" /etc/vestibule/turn/turnserver.conf \
    /etc/systemd/system/coturn.service /var/lib/dpkg/info/coturn.list
check jitsi-videobridge2 "$(moment jitsi-videobridge2 ExecMainStartTimestamp)" \
    /etc/jitsi/videobridge/jvb.conf /etc/systemd/system/jitsi-videobridge2.service.d \
    /var/lib/dpkg/info/jitsi-videobridge2.list
# What is meant for a moment
ls -d /usr/sbin/policy-rc.d* /usr/sbin/.policy* /var/lib/vestibule/former /tmp/vestibule-* \
    /usr/local/share/vestibule*/*.part 2> /dev/null | sed 's/^/there is still /' || true
find /etc /usr/local /var/lib/prosody -name '.*config_files-*' | sed 's/^/there is still /'
dpkg --audit | sed 's/^/dpkg: /'
runuser -u jicofo -- test -r /etc/jitsi/jicofo/jicofo.conf || echo 'jicofo cannot read its file'
"""


def state_of(server: Server) -> dict[str, str]:
    """Packages and files of the server, as they stay."""
    return {name: state for name, state in server.snapshot().items() if not _FLEETING.match(name)}


def of_any_server(state: Mapping[str, str]) -> dict[str, str]:
    """What two servers of one domain have in common: no secrets, names and numbers of users."""
    return {
        name: re.sub(r"\b[1-9]\d*(?=:\d+ )|(?<=:)[1-9]\d* ", "other ", text)
        for name, text in state.items()
        if not _OF_ONE_SERVER.match(name)
    }


def faults(server: Server) -> list[str]:
    """What a server has not read, and what a run left."""
    return server.run(_READ).splitlines()


@dataclass(frozen=True)
class Cut:
    """A run that was ended, and the tasks that it had begun."""

    tasks: list[str]
    returncode: int
    output: str


@dataclass(frozen=True)
class Operator:
    """Who deploys to one of the servers, and may be cut off."""

    controller: Controller
    host: str

    def begin(
        self, wish: Mapping[str, Any], *flags: str, **environment: str
    ) -> subprocess.Popen[str]:
        """A run of site.yml that goes on by itself, in a session of its own."""
        self.controller.temporary.mkdir(parents=True, exist_ok=True)
        given = self.controller.folder / "variables.json"
        given.touch(mode=0o600)
        given.write_text(json.dumps({"jitsi_domain": DOMAIN, **wish}), encoding="utf-8")
        callbacks = f"{ROOT / 'plugins/callback'}:{ROOT / 'rig/callbacks'}"
        return subprocess.Popen(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                f"--inventory={self.controller.inventory}",
                f"--limit={self.host}",
                f"--extra-vars=@{given}",
                *flags,
                ROOT / "playbooks/site.yml",
            ],
            cwd=ROOT,
            env={
                **self.controller.environment(),
                "ANSIBLE_CALLBACK_PLUGINS": callbacks,
                "ANSIBLE_CALLBACKS_ENABLED": "closed_sources,end_controller",
                "RIG_TASKS": str(self.controller.folder / "tasks"),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def tasks(self) -> list[str]:
        """Names of the tasks that the last run began."""
        path = self.controller.folder / "tasks"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def deploy(self, wish: Mapping[str, Any], *flags: str) -> Deployment:
        """A run that comes to its end."""
        began = time.monotonic()
        with self.begin(wish, *flags) as process:
            output = process.communicate(timeout=_PATIENCE)[0]
        return Deployment(process.returncode, output, time.monotonic() - began)

    def cut_off(self, wish: Mapping[str, Any], at: int | str, after: float = 0.0) -> Cut:
        """A run whose controller is killed before a task, or some seconds after it began."""
        (self.controller.folder / "tasks").unlink(missing_ok=True)
        with self.begin(wish, RIG_END_AT=str(at), RIG_END_AFTER=str(after)) as process:
            output = process.communicate(timeout=_PATIENCE)[0]
        return Cut(self.tasks(), process.returncode, output)

    def interrupted(
        self, wish: Mapping[str, Any], when: Callable[[str], bool], act: Callable[[], None]
    ) -> Cut:
        """A run at one of whose tasks something happens, and which is ended if it does not end."""
        (self.controller.folder / "tasks").unlink(missing_ok=True)
        with self.begin(wish) as process:
            end = time.monotonic() + _PATIENCE
            while process.poll() is None and not any(map(when, self.tasks())):
                assert time.monotonic() < end
                time.sleep(0.05)
            act()
            try:
                output = process.communicate(timeout=60)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output = process.communicate()[0]
        return Cut(self.tasks(), process.returncode, output)
