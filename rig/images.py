"""What can be booted, and how it is made of Debian's packages."""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rig.podman import CONTAINER_PREFIX, ROOT, Podman, confinement, say

HERE = Path(__file__).resolve().parent

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

    The script finds each file or folder of ``recipe`` below /recipe, where it lies in this project.
    Whatever changes in any of them gives the image another tag.
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
        f"sh /recipe/rig/facsimiles/ubuntu.sh {version} {codename}",
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
            "sh /recipe/rig/facsimiles/archlinux/archlinux.sh",
            (HERE / "facsimiles/archlinux", HERE / "stand_ins/pacman_repository.py"),
            "Arch Linux",
        ),
    )
}


# What the stand-ins of Jitsi's packages depend on, beside what a play installs for them: as many
# packages again as a deployment has. Servers of the tests come with them; those of the bench and
# the demo, which measure and show a fresh server, get them with the stand-ins.
STOCK = ("jq", "python3-slixmpp", "ruby-hocon")


def stocked(image: Image) -> Image:
    """The same system, which has what the stand-ins need.

    The facsimile of Arch has it anyway, and the images of a registry are taken as they are.
    """
    if image.name == "archlinux" or isinstance(image.origin, Registry):
        return image
    name = f"{image.name}-stocked"
    if isinstance(image.origin, Image):
        return replace(image, name=name, origin=stocked(image.origin))
    script = (
        "export DEBIAN_FRONTEND=noninteractive\napt-get -qq update\n"
        f"apt-get -qq install --yes --no-install-recommends {' '.join(STOCK)} > /dev/null\n"
        # A fresh server has not asked for the lists yet
        "apt-get clean\nrm -rf /var/lib/apt/lists/*"
    )
    return Image(name, image.system, image, script)


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


class Builder:
    """Makes images, unless the one of this recipe is there already."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman

    def build(self, image: Image) -> None:
        """Make an image, and those below it, unless the one of this recipe exists already."""
        with self._podman.locked(image.name):
            if not self._has_image(image):
                self._make(image)

    def _make(self, image: Image) -> None:
        if isinstance(image.origin, Image):
            self.build(image.origin)
        say(f"image {image.name}: building {image.label} …")
        began = time.monotonic()
        match image.origin:
            case Suite() as suite:
                self._bootstrap(image, suite)
            case Registry(reference):
                self._podman("pull", "--quiet", reference, failure=f"No {reference}")
                self._add_layer(image, reference)
            case Image() as below:
                self._add_layer(image, below.tag)
        self._forget_older(image)
        say(f"image {image.name}: built in {time.monotonic() - began:.0f} s")

    def _bootstrap(self, image: Image, suite: Suite) -> None:
        tarball = self._podman.state / f"{image.name}.tar"
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
            self._podman.run(
                self._podman.privileged(["mmdebstrap", *recipe, str(tarball)]),
                failure=f"Image {image.name} could not be built; is a Debian mirror in reach?",
            )
            self._podman("import", "--quiet", str(tarball), image.tag)
        finally:
            tarball.unlink(missing_ok=True)

    def _add_layer(self, image: Image, origin: str) -> None:
        """Run the script of an image in its origin and keep what comes out."""
        container = f"{CONTAINER_PREFIX}build-{image.name}"
        mounts = [f"--volume={p}:/recipe/{p.relative_to(ROOT)}:ro" for p in image.recipe]
        script = image.script
        if image.facsimile_of:
            label = shlex.quote(image.label)
            script += f"\necho {label} | tee /etc/vestibule-facsimile > /etc/motd"
        self._podman("rm", "--force", "--ignore", container)
        try:
            self._podman(
                *("run", f"--name={container}", *confinement(), *mounts, origin),
                *("sh", "-eu", "-c", script),
                failure=f"Image {image.name} could not be built; is a mirror in reach?",
            )
            self._podman("commit", "--quiet", container, image.tag)
        finally:
            self._podman("rm", "--force", "--ignore", container)

    def _has_image(self, image: Image) -> bool:
        return bool(self._podman("images", "--quiet", image.tag).strip())

    def _forget_older(self, image: Image) -> None:
        """Remove images of earlier recipes that no server uses."""
        repository = image.tag.partition(":")[0]
        listed = self._podman("images", "--format={{.Repository}}:{{.Tag}}", repository)
        used = self._podman("ps", "--all", "--format={{.Image}}").split()
        for tag in set(listed.split()) - {image.tag, *used}:
            self._podman("rmi", tag)
