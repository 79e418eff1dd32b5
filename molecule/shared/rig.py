#!/usr/bin/env python3
"""Fresh servers for the demo and the tests: systemd containers reached over SSH.

A server is a privileged podman container in which systemd is PID 1. Its image is made of Debian
packages by mmdebstrap, so no container registry is needed. It is attached to podman's own bridge
and publishes nothing: the machine reaches it by its address, the network does not.

Ubuntu and Arch come as **facsimiles**: Debian servers that look like them to Ansible and to a
package manager. They are called so wherever they appear. ``VESTIBULE_IMAGES=registry`` takes the
real images, where a registry is in reach.

What is kept where:

* ``build/rig/containers/<checkout>`` — podman's storage, apart from the machine's own containers
* ``build/rig/id_ed25519`` — the key that opens the servers
* ``build/rig/hosts/<name>`` — ``address``, ``known_hosts`` and ``ssh_config`` of a running server,
  and ``facsimile``, which is empty or says what the server is in truth
* ``/run/vestibule/<checkout>`` — podman's runtime state and, where one is needed, the namespace

``<checkout>`` is derived from the path of the repository, because podman refuses storage that
has moved: a moved checkout begins with storage of its own.

crun does not run on hybrid cgroups (version 1 controllers beside an empty version 2). There the
rig keeps a mount namespace that sees version 2 only and runs podman in it. A bind mount keeps the
namespace, so there is no holder process that could be killed. Only podman has to be in it:
SSH reaches the servers over the bridge from anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BOOT_SECONDS = 180.0
CONTAINER_PREFIX = "vestibule-"
MOUNTINFO = Path("/proc/self/mountinfo")


class RigError(Exception):
    """Something the person at the terminal has to know, as one sentence with the remedy."""


# Runs as root in a fresh system: what a server in a container needs and what it must not do.
SERVER = """
systemctl --quiet mask {masked}
# Every server makes host keys of its own. Debian 12 makes them when the package is installed, 13
# on the first boot only, and podman fills in /etc/machine-id: no boot looks like the first.
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
mkdir /etc/systemd/system/{ssh}.service.d
cat > /etc/systemd/system/{ssh}.service.d/keys.conf << END
[Service]
ExecStartPre=
ExecStartPre=ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
END
passwd --quiet --lock root
cat > /etc/ssh/sshd_config.d/keys-only.conf << END
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
END
"""

MASKED_UNITS = (
    # A privileged container could otherwise change the kernel it shares with the machine.
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "systemd-journald-audit.socket",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
    # There is no console to log in at; with them, sessions would need a seat.
    "console-getty.service",
    "getty.target",
    "systemd-logind.service",
    # They would take apt's lock away from a play at any moment.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)

SERVER_PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)


@dataclass(frozen=True)
class Suite:
    """A Debian release, to be made of its packages by mmdebstrap."""

    name: str
    packages: tuple[str, ...] = SERVER_PACKAGES


@dataclass(frozen=True)
class Registry:
    """An image of a container registry."""

    reference: str


@dataclass(frozen=True)
class Image:
    """What a server is made of: an origin, and a script that root runs in it.

    The script finds each file or folder of ``recipe`` in /recipe. Whatever changes in any of them
    gives the image another tag.
    """

    name: str
    system: str
    origin: Suite | Registry | Image
    script: str
    recipe: tuple[Path, ...] = ()
    facsimile_of: str = ""

    @property
    def label(self) -> str:
        """What a server of this image is, as reports have to say it."""
        if not self.facsimile_of:
            return self.system
        return f"{self.facsimile_of} facsimile, made of {self.system} packages"

    @property
    def tag(self) -> str:
        """Full podman name; the tag is a hash of everything the image is made of."""
        digest = hashlib.sha256()
        origin = self.origin.tag if isinstance(self.origin, Image) else repr(self.origin)
        digest.update(f"{origin}\0{self.label}\0{self.script}\0".encode())
        for part in self.recipe:
            for path in sorted((part, *part.rglob("*"))):
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(part.parent)}\0".encode())
                    digest.update(path.read_bytes())
        return f"localhost/vestibule-{self.name}:{digest.hexdigest()[:12]}"


def debian(name: str, version: str, suite: str) -> Image:
    """A Debian server; releases differ in the suite alone."""
    script = SERVER.format(masked=" ".join(MASKED_UNITS), ssh="ssh")
    return Image(name, f"Debian {version}", Suite(suite), script)


def ubuntu(name: str, version: str, codename: str, origin: Image) -> Image:
    """A facsimile of an Ubuntu server: Debian's packages, Ubuntu's name."""
    return Image(
        name,
        origin.system,
        origin,
        f"sh /recipe/ubuntu.sh {version} {codename}",
        (HERE / "facsimiles/ubuntu.sh",),
        f"Ubuntu {version}",
    )


DEBIAN_12 = debian("debian12", "12", "bookworm")
DEBIAN_13 = debian("debian13", "13", "trixie")

IMAGES = {
    image.name: image
    for image in (
        DEBIAN_12,
        DEBIAN_13,
        # Ubuntu 22.04 has Prosody 0.11.13, Python 3.10, systemd 249; 24.04 has Prosody 0.12.4 on
        # Lua 5.4, Python 3.12, systemd 255. Nearest: Debian 12 with 0.12.3 on Lua 5.4, 3.11, 252.
        ubuntu("ubuntu2204", "22.04", "jammy", DEBIAN_12),
        ubuntu("ubuntu2404", "24.04", "noble", DEBIAN_12),
        # Prosody 13 on Lua 5.4, as Debian 13. There lua-basexx and lua-inspect lack files for 5.4,
        # which Ubuntu 26.04 has: what works here is harder than there.
        ubuntu("ubuntu2604", "26.04", "resolute", DEBIAN_13),
        Image(
            "archlinux",
            DEBIAN_13.system,
            DEBIAN_13,
            "sh /recipe/archlinux/archlinux.sh",
            (HERE / "facsimiles/archlinux", HERE / "stand_ins/pacman_repository.py"),
            "Arch Linux",
        ),
    )
}


def from_registry(image: Image) -> Image:
    """The same system as its makers publish it. Written without such a registry in reach: untried.

    Their images have neither systemd nor sshd, so the script installs both first.
    """
    system = image.facsimile_of or image.system
    distribution, version = system.lower().split()
    if distribution == "arch":
        reference, ssh = "docker.io/library/archlinux:latest", "sshd"
        install = "pacman -Syu --noconfirm openssh python\nsystemctl enable sshd"
    else:
        reference, ssh = f"docker.io/library/{distribution}:{version}", "ssh"
        install = (
            "export DEBIAN_FRONTEND=noninteractive\napt-get update\n"
            f"apt-get install --yes --no-install-recommends {' '.join(SERVER_PACKAGES)}\n"
            # Ubuntu's socket would start another unit for each connection
            "systemctl disable ssh.socket || true\nsystemctl enable ssh.service"
        )
    script = install + SERVER.format(masked=" ".join(MASKED_UNITS), ssh=ssh)
    return Image(f"{image.name}-registry", system, Registry(reference), script)


def available_images(source: str) -> dict[str, Image]:
    """Images by the names that servers ask for, from ``source``: empty, or ``registry``."""
    if source not in ("", "registry"):
        raise SystemExit(f"VESTIBULE_IMAGES is '{source}'; leave it empty or set it to registry.")
    return {name: from_registry(i) for name, i in IMAGES.items()} if source else IMAGES


def cgroups_are_unified(mountinfo: str) -> bool:
    """Whether /sys/fs/cgroup is version 2, from the text of ``/proc/self/mountinfo`` (proc(5))."""
    for line in mountinfo.splitlines():
        fields, _, source = line.partition(" - ")
        if fields.split()[4] == "/sys/fs/cgroup":
            return source.split()[0] == "cgroup2"
    return False


def mounts_at(target: str, mountinfo: str) -> int:
    """How many mounts lie on ``target``, one over the other (proc(5), fifth field)."""
    return sum(line.split()[4] == target for line in mountinfo.splitlines())


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


def last_line(text: str) -> str:
    """The last line that says something; programs put their reason there.

    mount(8) puts it one line higher, above a pointer to dmesg(1).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("dmesg(1)")), "")


def say(message: str) -> None:
    """Progress goes to standard error: standard output carries answers only."""
    print(f"rig: {message}", file=sys.stderr, flush=True)


class Rig:
    """The servers of one checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        checkout = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        self.state = root / "build" / "rig"
        self.storage = self.state / "containers" / checkout
        self.identity = self.state / "id_ed25519"
        self.runtime = Path("/run/vestibule") / checkout
        self.pin_directory = self.runtime / "namespace"
        self.pin = self.pin_directory / "mnt"
        self.needs_namespace = not cgroups_are_unified(MOUNTINFO.read_text(encoding="utf-8"))

    # Running programs

    def privileged(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` as root."""
        if os.geteuid() == 0:
            return list(argv)
        if shutil.which("sudo") is None:
            raise RigError("Containers with systemd need root: run this as root or install sudo.")
        return ["sudo", "--", *argv]

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` where podman works, with the rig's own storage."""
        enter = ["nsenter", f"--mount={self.pin}", "--"] if self.needs_namespace else []
        return self.privileged(
            [
                "env",
                f"CONTAINERS_CONF={self.state / 'containers.conf'}",
                f"CONTAINERS_STORAGE_CONF={self.state / 'storage.conf'}",
                *enter,
                *argv,
            ]
        )

    def run(self, argv: Sequence[str], *, stdin: str = "", failure: str = "") -> str:
        """Standard output of ``argv``, or RigError of ``failure`` and the program's reason."""
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = last_line(done.stderr) or f"exit code {done.returncode}"
            raise RigError(f"{failure or shlex.join(argv)}: {reason}")
        return done.stdout

    def podman(self, *arguments: str, stdin: str = "", failure: str = "") -> str:
        """Standard output of podman."""
        failure = failure or f"podman {arguments[0]} failed"
        return self.run(self.inside(["podman", *arguments]), stdin=stdin, failure=failure)

    # The ground the servers stand on

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Podman can be used; nobody else changes images or servers of this checkout meanwhile."""
        missing = [p for p in ("podman", "crun", "mmdebstrap", "ssh-keygen") if not shutil.which(p)]
        if missing:
            raise RigError(f"{', '.join(missing)} not found: run scripts/bootstrap --rig first.")
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another rig of this checkout …")
                fcntl.flock(lock, fcntl.LOCK_EX)
            self._write_configuration()
            self.run(self.privileged(["mkdir", "-p", str(self.pin_directory)]))
            if self.needs_namespace and not self.namespace_exists():
                self._make_namespace()
            self.podman(
                "info",
                failure="podman does not work on this machine; use a Debian 12 or 13 server or "
                "virtual machine where root may mount file systems and create namespaces",
            )
            yield

    def _write_configuration(self) -> None:
        """Podman's settings: everything of ours apart from the machine's own containers."""
        (self.state / "storage.conf").write_text(
            "[storage]\n"
            'driver = "overlay"\n'
            f'graphroot = "{self.storage}"\n'
            f'runroot = "{self.runtime / "storage"}"\n',
            encoding="utf-8",
        )
        (self.state / "containers.conf").write_text(
            "[containers]\n"
            'log_driver = "k8s-file"\n'
            "[engine]\n"
            'cgroup_manager = "cgroupfs"\n'
            'events_logger = "file"\n'
            'runtime = "crun"\n'
            f'tmp_dir = "{self.runtime / "libpod"}"\n',
            encoding="utf-8",
        )

    def namespace_exists(self) -> bool:
        """Whether the pin is a namespace (a file of the kernel's nsfs) and not a bare file."""
        try:
            return self.pin.stat().st_dev == Path("/proc/self/ns/mnt").stat().st_dev
        except FileNotFoundError:
            return False

    def _make_namespace(self) -> None:
        """A mount namespace with unified cgroups; without leftovers of an earlier one."""
        failure = (
            "This machine has hybrid cgroups and does not permit the mount namespace that gets "
            "round them; use a virtual machine, or boot with systemd.unified_cgroup_hierarchy=1"
        )
        # A namespace can only be pinned below a mount that does not propagate (unshare(1)).
        self._unpin()
        for argv in (
            ["mount", "--bind", str(self.pin_directory), str(self.pin_directory)],
            ["mount", "--make-private", str(self.pin_directory)],
            ["touch", str(self.pin)],
            [
                "unshare",
                f"--mount={self.pin}",
                "--propagation=private",
                "sh",
                "-c",
                "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            ],
        ):
            self.run(self.privileged(argv), failure=failure)
        # Servers of a namespace that is gone cannot be entered again, their processes can be ended.
        self.podman("rm", "--force", "--all", "--time=0")

    def _unpin(self) -> None:
        """Let go of the namespace; it ends with the last process in it."""
        for target in (self.pin, self.pin_directory):
            for _ in range(mounts_at(str(target), MOUNTINFO.read_text(encoding="utf-8"))):
                self.run(self.privileged(["umount", str(target)]))

    # Images

    def build_image(self, image: Image) -> None:
        """Make an image, and those below it, unless the one of this recipe exists already."""
        if self._has_image(image):
            return
        if isinstance(image.origin, Image):
            self.build_image(image.origin)
        say(f"image {image.name}: building {image.label} …")
        began = time.monotonic()
        match image.origin:
            case Suite() as suite:
                self._bootstrap(image, suite)
            case Registry(reference):
                self.podman("pull", "--quiet", reference, failure=f"No {reference}")
                self._add_layer(image, reference)
            case Image() as below:
                self._add_layer(image, below.tag)
        self._forget_older(image)
        say(f"image {image.name}: built in {time.monotonic() - began:.0f} s")

    def _bootstrap(self, image: Image, suite: Suite) -> None:
        tarball = self.state / f"{image.name}.tar"
        recipe = [
            "--quiet",
            "--variant=minbase",
            "--format=tar",
            # Containers live for minutes: durable writes would only make every install slower.
            "--dpkgopt=force-unsafe-io",
            f"--include={','.join(suite.packages)}",
            f'--customize-hook=chroot "$1" sh -eu -c {shlex.quote(image.script)}',
            suite.name,
        ]
        try:
            self.run(
                self.privileged(["mmdebstrap", *recipe, str(tarball)]),
                failure=f"Image {image.name} could not be built; is a Debian mirror in reach?",
            )
            self.podman("import", "--quiet", str(tarball), image.tag)
        finally:
            tarball.unlink(missing_ok=True)

    def _add_layer(self, image: Image, origin: str) -> None:
        """Run the script of an image in its origin and keep what comes out."""
        container = f"{CONTAINER_PREFIX}build-{image.name}"
        mounts = [f"--volume={part}:/recipe/{part.name}:ro" for part in image.recipe]
        script = image.script
        if image.facsimile_of:
            label = shlex.quote(image.label)
            script += f"\necho {label} | tee /etc/vestibule-facsimile > /etc/motd"
        self.podman("rm", "--force", "--ignore", container)
        try:
            self.podman(
                *("run", f"--name={container}", *confinement(), *mounts, origin),
                *("sh", "-eu", "-c", script),
                failure=f"Image {image.name} could not be built; is a mirror in reach?",
            )
            self.podman("commit", "--quiet", container, image.tag)
        finally:
            self.podman("rm", "--force", "--ignore", container)

    def _has_image(self, image: Image) -> bool:
        return bool(self.podman("images", "--quiet", image.tag).strip())

    def _forget_older(self, image: Image) -> None:
        """Remove images of earlier recipes that no server uses."""
        repository = image.tag.partition(":")[0]
        listed = self.podman("images", "--format={{.Repository}}:{{.Tag}}", repository)
        used = self.podman("ps", "--all", "--format={{.Image}}").split()
        for tag in set(listed.split()) - {image.tag, *used}:
            self.podman("rmi", tag)

    # Servers

    def up(self, name: str, image: Image) -> str:
        """Boot a server, or find it running; its IPv4 address."""
        container = CONTAINER_PREFIX + name
        status = self._status(container)
        if status is None:
            self.build_image(image)
            self._create(container, image)
            self._wait_for_boot(container)
            self._refuse_failed_units(container)
        elif status != "running":
            self.podman("start", container)
            self._wait_for_boot(container)
        address = self.address(name)
        self._authorize(container)
        self._describe(name, container, address)
        self._wait_for_ssh(container, address)
        return address

    def down(self, name: str) -> None:
        """Remove a server and what is known about it; nothing to remove is fine."""
        if self._status(CONTAINER_PREFIX + name) is not None:
            self.podman("rm", "--force", "--time=0", CONTAINER_PREFIX + name)
        shutil.rmtree(self.state / "hosts" / name, ignore_errors=True)
        if not self.podman("ps", "--all", "--quiet").strip():
            self._unpin()

    def overview(self) -> str:
        """One line a server: name, state, image."""
        return self.podman("ps", "--all", "--format={{.Names}}\t{{.Status}}\t{{.Image}}")

    def _status(self, container: str) -> str | None:
        listed = self.podman("ps", "--all", f"--filter=name=^{container}$", "--format={{.State}}")
        return listed.strip() or None

    def _create(self, container: str, image: Image) -> None:
        self.podman(
            "run",
            "--detach",
            f"--name={container}",
            f"--hostname={container}",
            "--systemd=always",
            *confinement(),
            image.tag,
            "/sbin/init",
        )

    def _wait_for_boot(self, container: str) -> None:
        """Until systemd has started everything it could."""
        deadline = time.monotonic() + BOOT_SECONDS
        ask = self.inside(["podman", "exec", container, "systemctl", "is-system-running", "--wait"])
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
        failed = self.podman(
            "exec", container, "systemctl", "list-units", "--failed", "--plain", "--no-legend"
        )
        if failed.strip():
            raise RigError(f"{container} booted with failed units: {' '.join(failed.split())}")

    def address(self, name: str) -> str:
        """IPv4 address of a running server on podman's bridge."""
        found = self.podman(
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
        if not self.identity.exists():
            comment = "vestibule rig"
            self.run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    comment,
                    "-f",
                    str(self.identity),
                ]
            )
        public = self.identity.with_suffix(".pub").read_text(encoding="utf-8")
        install = "install -d -m 0700 /root/.ssh && umask 077 && cat > /root/.ssh/authorized_keys"
        self.podman("exec", "--interactive", container, "sh", "-c", install, stdin=public)

    def _describe(self, name: str, container: str, address: str) -> None:
        """Write down how to reach a server; its host key is read from inside, not from the wire."""
        directory = self.state / "hosts" / name
        directory.mkdir(parents=True, exist_ok=True)
        key = self.podman("exec", container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        known_hosts = directory / "known_hosts"
        known_hosts.write_text(f"{name},{address} {' '.join(key.split()[:2])}\n", encoding="utf-8")
        configuration = ssh_config(name, address, self.identity, known_hosts)
        (directory / "ssh_config").write_text(configuration, encoding="utf-8")
        (directory / "address").write_text(f"{address}\n", encoding="utf-8")
        # Asked of the server, not of the recipe: it may be older than that
        note = self.podman(
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


def limit_within(limit: int, wanted: int) -> str:
    """``wanted`` or what this process may have at most, as podman's ``soft:hard``."""
    hard = resource.getrlimit(limit)[1]
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    return f"{allowed}:{allowed}"


def confinement() -> list[str]:
    """What podman has to be told of a container that is as free as a server.

    Limits may not be raised without CAP_SYS_RESOURCE, and podman's defaults are high; nor may crun
    then load the device filter of a container that is not privileged.
    """
    files = limit_within(resource.RLIMIT_NOFILE, 20000)
    processes = limit_within(resource.RLIMIT_NPROC, 32768)
    return [
        "--privileged",
        "--pids-limit=0",
        f"--ulimit=nofile={files}",
        f"--ulimit=nproc={processes}",
    ]


def host_name(text: str) -> str:
    """A name that can be a part of container, host and file names (RFC 1123, section 2.1)."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not made of small letters, digits and hyphens"
        )
    return text


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="rig", description="Fresh servers for demo and tests.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("image", help="build an image unless it is up to date")
    action.add_argument("image", choices=sorted(IMAGES))
    action = actions.add_parser("up", help="boot a server and print its address")
    action.add_argument("name", type=host_name)
    action.add_argument("--image", choices=sorted(IMAGES), default="debian13")
    action = actions.add_parser("down", help="remove a server")
    action.add_argument("name", type=host_name)
    action = actions.add_parser("address", help="print the address of a running server")
    action.add_argument("name", type=host_name)
    actions.add_parser("ps", help="list the servers")
    actions.add_parser("images", help="list what can be booted")
    action = actions.add_parser("exec", help="run a command where podman sees the servers")
    action.add_argument("command", nargs="+", metavar="-- COMMAND")
    return parser.parse_args(arguments)


def main() -> int:
    """Do one action."""
    options = parse_arguments()
    images = available_images(os.environ.get("VESTIBULE_IMAGES", ""))
    if options.action == "images":
        print("".join(f"{name}\t{image.label}\n" for name, image in images.items()), end="")
        return 0
    rig = Rig()
    try:
        with rig.prepared():
            match options.action:
                case "image":
                    rig.build_image(images[options.image])
                case "up":
                    print(rig.up(options.name, images[options.image]))
                case "down":
                    rig.down(options.name)
                case "address":
                    print(rig.address(options.name))
                case "ps":
                    print(rig.overview(), end="")
        if options.action == "exec":
            command = rig.inside(options.command)
            os.execvp(command[0], command)  # noqa: S606 - a list of arguments, as with subprocess
    except RigError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
