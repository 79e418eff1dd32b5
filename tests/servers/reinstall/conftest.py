"""A server that is uninstalled and installed again, and another one in its place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server

WISH: dict[str, Any] = {
    "jitsi_domain": DOMAIN,
    "jitsi_features": ["recording"],
    # One case is proof enough that it works
    "jitsi_verify_cases": ["valid_token_enters"],
    # What packages leave behind is a part of what is tested here, also with --plugins.
    "jitsi_tokens_archive": "",
    "jitsi_tokens_source": "package",
}
# Lists and downloads of the package manager, what systemd remembers, pages of manuals that are
# made when one is read, and Ansible's own folder of temporary files
_CACHES = ("/var/cache", "/var/lib/apt/lists", "/var/lib/systemd", "/root/.ansible")
_LISTING = r"""
export LC_ALL=C
for top in /etc /usr /var /opt /srv /root; do
    find $top -xdev \( CACHES \) -prune -o -printf 'entry %p\t%y %M %U:%G %l\n'
    find $top -xdev \( CACHES -o -path /var/log \) -prune -o -type f -exec sha256sum {} + |
        sed 's|^\(\S*\)  \(.*\)|content \2\t\1|'
done
""".replace("CACHES", " -o ".join(f"-path {path}" for path in _CACHES))


def listing(server: Server) -> dict[str, str]:
    """Kind, mode, owner and digest of everything on the disk but caches and what logs say."""
    lines = server.run(_LISTING).splitlines()
    return dict(line.split("\t", 1) for line in lines)


@dataclass(frozen=True)
class Operator(Controller):
    """A controller with an inventory and a vault password of its own."""

    @property
    def inventory(self) -> Path:
        """The one server, which has the same name wherever it runs."""
        return self.folder / "inventory" / "hosts.yml"

    @property
    def store(self) -> Path:
        """Its secrets."""
        return self.inventory.parent / ".secrets" / "reinstall.yml"

    @property
    def password(self) -> Path:
        """The file of the vault password."""
        return self.folder / "password"

    def prepared(self) -> Operator:
        """With its files."""
        self.inventory.parent.mkdir(parents=True)
        hosts: dict[str, Any] = {"rig": {"hosts": {"reinstall": {}}}}
        self.inventory.write_text(json.dumps(hosts), encoding="utf-8")
        (self.inventory.parent / "group_vars").symlink_to(ROOT / "rig/group_vars")
        self.password.write_text("correct horse battery staple\n", encoding="utf-8")
        return self

    def runs(self, playbook: str, *flags: str, on: str = "reinstall", **more: Any) -> Deployment:
        """A playbook with the wish of these tests, on a server."""
        rig = {
            "rig_project": str(ROOT),
            "rig_directory": str(ROOT / "build/rig/hosts" / on),
            "jitsi_lock_directory": str(self.inventory.parent),
        }
        flags = (f"--vault-password-file={self.password}", *flags)
        return self.play(playbook, *flags, **{**WISH, **rig, **more})

    def succeeds(self, playbook: str, *flags: str, **more: Any) -> Deployment:
        """The same, which has to."""
        run = self.runs(playbook, *flags, **more)
        assert run.returncode == 0, run.output[-4000:]
        return run

    def link(self) -> str:
        """A token, as people have it in a link."""
        said = self.succeeds("mint.yml", room="standup", lifetime=7200).output
        found = re.search(r"jwt=([\w.-]+)", said)
        assert found, said
        return found[1]


@pytest.fixture(scope="session")
def scenario() -> str:
    """What the servers are booted for."""
    return "reinstall"


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """The operator's side."""
    return Operator(tmp_path_factory.mktemp("operator"), "reinstall").prepared()


@pytest.fixture(scope="session")
def replacement() -> Server:
    """What the backup is restored onto."""
    return Server("replacement")
