"""Deploys to the server of a scenario as an operator would, and looks at what became of it.

The server is looked at through podman: neither SSH nor Ansible leave anything behind that way.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rig.podman import CONTAINER_PREFIX, Podman

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = "meet.example.org"
_PATIENCE = 900  # seconds after which a deployment hangs

# What a refused deployment may not touch. One line a thing: its name, a tab, its state. Without
# what apt and systemd remember by themselves, and the place for Ansible's temporary files.
_SNAPSHOT = r"""
export LC_ALL=C
dpkg-query --show --showformat 'package ${Package}\t${Version} ${db:Status-Abbrev}\n'
systemctl list-units --all --type=service --plain --no-legend \
    | awk '/ running / {print "service " $1 "\trunning"}'
ss -Hltn | awk '{print "listener " $4 "\topen"}'
kept() {
    find /etc /usr/local /opt /root /home /var/lib /var/cache/debconf \
        \( -name .ansible -o -path /var/lib/apt -o -path /var/lib/systemd \) -prune -o "$@"
}
kept -printf 'file %p\t%M %U:%G %l\ntime %p\t%T@\n'
kept -type f -exec sha256sum {} + | sed 's|\(\S*\)  \(.*\)|content \2\t\1|'
"""


class Server:
    """The container, from the machine that runs it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._podman = Podman()

    def argv(self, *command: str) -> list[str]:
        """The command line that runs ``command`` in the server, with standard input."""
        container = CONTAINER_PREFIX + self.name
        return self._podman.inside(["podman", "exec", "--interactive", container, *command])

    def run(self, script: str, *, stdin: str = "", ok: tuple[int, ...] = (0,)) -> str:
        """What a shell script prints in the server. Fails with its words on other exit codes."""
        done = subprocess.run(
            self.argv("sh", "-euc", script),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in ok, f"{script}\n{done.stdout[-2000:]}{done.stderr}"
        return done.stdout

    def is_fresh(self) -> bool:
        """Whether nothing was deployed here. ``molecule create`` and ``prepare`` make it so."""
        return self.run("dpkg-query --show prosody 2> /dev/null", ok=(0, 1)) == ""

    def wait_for_listener(self, port: int) -> None:
        """Until a program listens on this TCP port."""
        self.run(
            f"timeout 90 sh -c 'until ss -Hltn sport = {port} | grep -q .; do sleep 0.1; done'"
        )

    def snapshot(self) -> dict[str, str]:
        """State by name of everything that a refused deployment may not touch."""
        lines = self.run(_SNAPSHOT).splitlines()
        return dict(line.split("\t", 1) for line in lines)


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is new, gone or other in the second snapshot."""
    assert before
    assert after
    return [
        f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


@dataclass(frozen=True)
class Deployment:
    """A run of a playbook that has ended."""

    returncode: int
    output: str = field(repr=False)  # standard output and error in the order in which they came
    seconds: float

    @property
    def messages(self) -> list[str]:
        """What each failed task said."""
        prefix = r"^\[ERROR\]: Task failed: (?:(?:Action|Module) failed: )?"
        said = prefix + r"(.*?)\n(?:Origin|fatal): "
        return re.findall(said, self.output, re.MULTILINE | re.DOTALL)

    @property
    def remote_executions(self) -> int:
        """How often something was run on a server, as ``-vvv`` tells."""
        return self.output.count("> SSH: EXEC ssh ")

    @property
    def recap(self) -> dict[str, int]:
        """Ansible's counters of the only host: ok, changed, unreachable, failed and the like."""
        (host,) = re.findall(r"^(\S+) +: ok=", self.output, re.MULTILINE)
        return self.recap_of(host)

    def recap_of(self, host: str) -> dict[str, int]:
        """The counters of one host among several."""
        recap = re.search(rf"^{host} +: (.+)$", self.output, re.MULTILINE)
        assert recap, self.output
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", recap[1])}


def _hosts_in(inventory: Path) -> set[str]:
    return set(yaml.safe_load(inventory.read_text(encoding="utf-8"))["rig"]["hosts"])


@dataclass(frozen=True)
class Controller:
    """Where deployments start: a home and a place for temporary files that are theirs alone."""

    folder: Path
    scenario: str

    @property
    def inventory(self) -> Path:
        """The hosts of the scenario."""
        return ROOT / "molecule" / self.scenario / "hosts.yml"

    @property
    def home(self) -> Path:
        """What Ansible keeps between runs, its control sockets for example."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """Where programs put temporary files."""
        return self.folder / "tmp"

    def environment(self) -> dict[str, str]:
        """The operator's environment: nothing that Molecule set for its own runs of Ansible."""
        own = {name: text for name, text in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **own,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.home),
            "TMPDIR": str(self.temporary),
        }

    def _command(self, playbook: str, flags: tuple[str, ...], variables: Any) -> list[str | Path]:
        """The command line. The variables travel in a file, as secrets may be among them."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        given = self.folder / "variables.json"
        given.touch(mode=0o600)
        given.write_text(json.dumps(variables), encoding="utf-8")
        return [
            Path(sys.executable).with_name("ansible-playbook"),
            f"--inventory={self.inventory}",
            f"--extra-vars=@{given}",
            *flags,
            ROOT / "playbooks" / playbook,
        ]

    @contextmanager
    def playing(self, playbook: str, *flags: str, **variables: Any) -> Iterator[Any]:
        """A playbook that runs, and is cut off with all its processes at the end."""
        with subprocess.Popen(
            self._command(playbook, flags, variables),
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            try:
                yield run
            finally:
                os.killpg(run.pid, signal.SIGKILL)

    def play(self, playbook: str, *flags: str, **variables: Any) -> Deployment:
        """Run a playbook."""
        began = time.monotonic()
        done = subprocess.run(
            self._command(playbook, flags, variables),
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return Deployment(done.returncode, done.stdout, time.monotonic() - began)

    @classmethod
    def of(cls, host: str, folder: Path) -> Controller:
        """The operator whose inventory has this server."""
        inventories = (ROOT / "molecule").glob("*/hosts.yml")
        (scenario,) = (path.parent.name for path in inventories if host in _hosts_in(path))
        return cls(folder, scenario)

    def deploy(self, *flags: str, **variables: Any) -> Deployment:
        """Run ``site.yml`` for the domain of the tests. A variable that is None is not given."""
        given = {"jitsi_domain": DOMAIN, **variables}
        given = {name: value for name, value in given.items() if value is not None}
        return self.play("site.yml", *flags, **given)


def with_all(test: Any) -> Any:
    """A test of scripts/test --all alone: it takes its time."""
    return test if os.environ.get("VESTIBULE_INTERRUPTED") == "all" else None
