"""The servers of one checkout: boot, describe, remove."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path

from rig.images import Builder, Image
from rig.podman import CONTAINER_PREFIX, Podman, RigError, confinement, last_line, say

BOOT_SECONDS = 180.0
# Of podman's own network, which all checkouts of a machine share
BRIDGE = Path("/sys/class/net/podman0")
# The address was set by somebody (NET_ADDR_SET of the kernel's netdevice.h)
ADDRESS_IS_SET = "3"

# Runs on a server that has the repositories in /srv/stand-ins.tar.
SERVE = """
mkdir -p /srv/stand-ins
tar --extract --no-same-owner --directory=/srv/stand-ins --file=/srv/stand-ins.tar
rm /srv/stand-ins.tar
cat > /etc/systemd/system/stand-ins.service << END
[Unit]
Description=Repositories of stand-ins, for tests only

[Service]
DynamicUser=yes
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv/stand-ins 8099

[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable --now stand-ins
timeout 60 bash -c 'until : < /dev/tcp/127.0.0.1/8099; do sleep 0.1; done' 2> /dev/null
"""


def ssh_config(name: str, address: str, identity: Path, known_hosts: Path) -> str:
    """Client configuration that opens one server by its name or its address."""
    return (
        f"Host {name}\n"
        f"  HostName {address}\n"
        "Host *\n"
        "  User root\n"
        f'  IdentityFile "{identity}"\n'
        "  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{known_hosts}"\n'
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
    )


class Servers:
    """Containers with systemd in them, reached over SSH."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman
        self._identity = podman.state / "id_ed25519"

    def up(self, name: str, image: Image) -> str:
        """Boot a server, or find it running; its IPv4 address."""
        container = CONTAINER_PREFIX + name
        status = self._status(container)
        if status is None:
            Builder(self._podman).build(image)
            self._create(container, image)
            self._keep_bridge()
            self._wait_for_boot(container)
            self._refuse_failed_units(container)
        elif status != "running":
            self._podman("start", container)
            self._keep_bridge()
            self._wait_for_boot(container)
        address = self.address(name)
        self._authorize(container)
        self._describe(name, container, address)
        self._wait_for_ssh(container, address)
        return address

    def serve(self, name: str, repositories: Path) -> None:
        """Serve the repositories of stand-ins in this archive on port 8099 of the server itself."""
        container = CONTAINER_PREFIX + name
        self._podman("cp", str(repositories), f"{container}:/srv/stand-ins.tar")
        self._podman(
            *("exec", container, "sh", "-euc", SERVE),
            failure=f"Server '{name}' does not serve the stand-ins",
        )

    def down(self, name: str) -> None:
        """Remove a server and what is known about it; nothing to remove is fine."""
        if self._status(CONTAINER_PREFIX + name) is not None:
            self._podman("rm", "--force", "--time=0", CONTAINER_PREFIX + name)
        shutil.rmtree(self._podman.state / "hosts" / name, ignore_errors=True)
        self._podman.leave_if_empty()

    def overview(self) -> str:
        """One line a server: name, state, image."""
        return self._podman("ps", "--all", "--format={{.Names}}\t{{.Status}}\t{{.Image}}")

    def _status(self, container: str) -> str | None:
        listed = self._podman("ps", "--all", f"--filter=name=^{container}$", "--format={{.State}}")
        return listed.strip() or None

    def _create(self, container: str, image: Image) -> None:
        self._podman(
            "run",
            "--detach",
            f"--name={container}",
            f"--hostname={container}",
            "--systemd=always",
            *confinement(),
            image.tag,
            "/sbin/init",
        )

    def _keep_bridge(self) -> None:
        """Let the bridge keep its address whoever leaves.

        Otherwise it takes that of one of its servers, another when that one goes, and the others
        send to an address that nobody has until they ask again, for half a minute.
        """
        if (BRIDGE / "addr_assign_type").read_text("utf-8").strip() != ADDRESS_IS_SET:
            address = (BRIDGE / "address").read_text("utf-8").strip()
            self._podman.run(
                self._podman.privileged(["ip", "link", "set", BRIDGE.name, "address", address])
            )

    def _wait_for_boot(self, container: str) -> None:
        """Until systemd has started everything it could."""
        deadline = time.monotonic() + BOOT_SECONDS
        ask = self._podman.inside(
            ["podman", "exec", container, "systemctl", "is-system-running", "--wait"]
        )
        while time.monotonic() < deadline:
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            if done.stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.05)
        raise RigError(
            f"{container} did not boot within {BOOT_SECONDS:.0f} s; remove it with rig down. "
            f"Last answer: {last_line(done.stderr or done.stdout)}"
        )

    def _refuse_failed_units(self, container: str) -> None:
        """A fresh server has no excuse for a failed unit."""
        failed = self._podman(
            "exec", container, "systemctl", "list-units", "--failed", "--plain", "--no-legend"
        )
        if failed.strip():
            raise RigError(f"{container} booted with failed units: {' '.join(failed.split())}")

    def address(self, name: str) -> str:
        """IPv4 address of a running server on podman's bridge."""
        found = self._podman(
            "inspect",
            "--format={{.NetworkSettings.IPAddress}}",
            CONTAINER_PREFIX + name,
            failure=f"There is no server '{name}' (rig ps lists them, rig up {name} boots it)",
        ).strip()
        if not found:
            raise RigError(f"Server '{name}' is not running: rig up {name} boots it.")
        return found

    def _authorize(self, container: str) -> None:
        """Let the rig's key in as root; the image itself holds no key."""
        with self._podman.locked("identity"):
            if not self._identity.exists():
                kind = ["-q", "-t", "ed25519", "-N", "", "-C", "vestibule rig"]
                self._podman.run(["ssh-keygen", *kind, "-f", str(self._identity)])
        public = self._identity.with_suffix(".pub").read_text(encoding="utf-8")
        install = "install -d -m 0700 /root/.ssh && umask 077 && cat > /root/.ssh/authorized_keys"
        self._podman("exec", "--interactive", container, "sh", "-c", install, stdin=public)

    def _describe(self, name: str, container: str, address: str) -> None:
        """Write down how to reach a server; its host key is read from inside, not from the wire."""
        directory = self._podman.state / "hosts" / name
        directory.mkdir(parents=True, exist_ok=True)
        key = self._podman("exec", container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        known_hosts = directory / "known_hosts"
        known_hosts.write_text(f"{name},{address} {' '.join(key.split()[:2])}\n", encoding="utf-8")
        configuration = ssh_config(name, address, self._identity, known_hosts)
        (directory / "ssh_config").write_text(configuration, encoding="utf-8")
        (directory / "address").write_text(f"{address}\n", encoding="utf-8")
        # Asked of the server, not of the recipe: it may be older than that
        note = self._podman(
            "exec", container, "sh", "-c", "cat /etc/vestibule-facsimile 2> /dev/null || true"
        )
        (directory / "facsimile").write_text(note, encoding="utf-8")
        if note:
            say(f"{name}: {note.strip()}")

    def _wait_for_ssh(self, container: str, address: str) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((address, 22), 1) as ssh:
                if ssh.recv(4) == b"SSH-":
                    return
            time.sleep(0.05)
        raise RigError(f"{container} does not answer SSH at {address}: look into its journal.")
