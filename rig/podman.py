"""Podman with storage of this checkout's own, on whatever cgroups the machine has.

crun does not run on hybrid cgroups (version 1 controllers beside an empty version 2). There the
rig keeps a mount namespace that sees version 2 only and runs podman in it. A bind mount keeps the
namespace, so there is no holder process that could be killed. Only podman has to be in it:
SSH reaches the servers over the bridge from anywhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTAINER_PREFIX = "vestibule-"
MOUNTINFO = Path("/proc/self/mountinfo")


class RigError(Exception):
    """Something the person at the terminal has to know, as one sentence with the remedy."""


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


def last_line(text: str) -> str:
    """The last line that says something; programs put their reason there.

    mount(8) puts it one line higher, above a pointer to dmesg(1).
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("dmesg(1)")), "")


def say(message: str) -> None:
    """Progress goes to standard error: standard output carries answers only."""
    print(f"rig: {message}", file=sys.stderr, flush=True)


class Podman:
    """Containers and images of one checkout."""

    def __init__(self, root: Path = ROOT) -> None:
        checkout = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        self.state = root / "build" / "rig"
        self.storage = self.state / "containers" / checkout
        self.runtime = Path("/run/vestibule") / checkout
        self.pin_directory = self.runtime / "namespace"
        self.pin = self.pin_directory / "mnt"
        self._tried = self.runtime / "podman-works"
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

    def __call__(self, *arguments: str, stdin: str = "", failure: str = "") -> str:
        """Standard output of podman."""
        failure = failure or f"podman {arguments[0]} failed"
        return self.run(self.inside(["podman", *arguments]), stdin=stdin, failure=failure)

    # The ground the servers stand on

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Podman can be used, and stays usable meanwhile. Several may use it at the same time."""
        missing = [p for p in ("podman", "crun", "mmdebstrap", "ssh-keygen") if not shutil.which(p)]
        if missing:
            raise RigError(f"{', '.join(missing)} not found: run scripts/bootstrap --rig first.")
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as self._lock:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            while not self._is_ready():
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self._make_ready()
                fcntl.flock(self._lock, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Nobody else of this checkout is at the thing of this name; whoever comes waits."""
        with (self.state / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_ready(self) -> bool:
        return (
            all(file.exists() and file.read_text("utf-8") == text for file, text in self._files())
            and self._tried.exists()
            and (not self.needs_namespace or self.namespace_exists())
        )

    def _make_ready(self) -> None:
        for file, text in self._files():
            file.write_text(text, encoding="utf-8")
        self.run(self.privileged(["mkdir", "-p", str(self.pin_directory)]))
        if self.needs_namespace and not self.namespace_exists():
            self._make_namespace()
        self(
            "info",
            failure="podman does not work on this machine; use a Debian 12 or 13 server or "
            "virtual machine where root may mount file systems and create namespaces",
        )
        self.run(self.privileged(["touch", str(self._tried)]))

    def leave_if_empty(self) -> None:
        """Let go of the namespace when nobody else is here and no server is left."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not self("ps", "--all", "--quiet").strip():
            self._unpin()

    def _files(self) -> Iterator[tuple[Path, str]]:
        """Podman's settings: everything of ours apart from the machine's own containers."""
        yield (
            self.state / "storage.conf",
            "[storage]\n"
            'driver = "overlay"\n'
            f'graphroot = "{self.storage}"\n'
            f'runroot = "{self.runtime / "storage"}"\n',
        )
        yield (
            self.state / "containers.conf",
            "[containers]\n"
            'log_driver = "k8s-file"\n'
            "[engine]\n"
            'cgroup_manager = "cgroupfs"\n'
            'events_logger = "file"\n'
            'runtime = "crun"\n'
            f'tmp_dir = "{self.runtime / "libpod"}"\n',
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
        self("rm", "--force", "--all", "--time=0")

    def _unpin(self) -> None:
        """Let go of the namespace; it ends with the last process in it."""
        for target in (self.pin, self.pin_directory):
            for _ in range(mounts_at(str(target), MOUNTINFO.read_text(encoding="utf-8"))):
                self.run(self.privileged(["umount", str(target)]))


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
