"""What is refused, in which words, and that a fresh server stays as it was."""

from __future__ import annotations

import socket
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.support import Controller, Server, differences

from .conftest import NAME

# The stand-ins' repository is not Prosody's, but it has a key
_UPSTREAM = {
    "prosody_repository": "upstream",
    "prosody_repository_key": "{{ jitsi_tokens_repository_key }}",
    "prosody_repository_fingerprint": "{{ jitsi_tokens_repository_fingerprint }}",
}
_LONG_SECRET = "kanarienvogel" * 3
# Takes one connection too many, so that the next ones are never answered (listen(2))
_SILENCE = """
import socket, time
server = socket.create_server(("127.0.0.1", 8098), backlog=0)
others = [socket.socket() for _ in range(3)]
for other in others:
    other.setblocking(False)
    other.connect_ex(server.getsockname())
time.sleep(600)
"""
_UNTRUE_CLOCK = """
import time
time.time = lambda true=time.time: true() + 45
"""


@contextmanager
def as_it_is(server: Server) -> Iterator[dict[str, Any]]:
    yield {}


def released_as(distribution: str, version: str) -> Callable[[Server], Any]:
    """The server says that it runs another distribution."""

    @contextmanager
    def pretence(server: Server) -> Iterator[dict[str, Any]]:
        release = f'NAME="{distribution}"\nID={distribution.lower()}\nVERSION_ID="{version}"\n'
        server.run("cat > /srv/os-release", stdin=release)
        server.run("cat > /srv/debian_version", stdin=f"{version}\n")
        server.run(
            "mount --bind /srv/os-release /usr/lib/os-release;"
            "mount --bind /srv/debian_version /etc/debian_version"
        )
        try:
            yield {}
        finally:
            server.run("umount /usr/lib/os-release /etc/debian_version")

    return pretence


@contextmanager
def port_taken(server: Server) -> Iterator[dict[str, Any]]:
    server.run("systemd-run --quiet --collect --unit=intruder -- python3 -m http.server 443")
    try:
        server.wait_for_listener(443)
        yield {}
    finally:
        server.run("systemctl stop intruder")


@contextmanager
def silent_port(server: Server) -> Iterator[dict[str, Any]]:
    """Port 8098 of the server does not even refuse, as behind a firewall."""
    server.run("cat > /srv/silence.py", stdin=_SILENCE)
    server.run("systemd-run --quiet --collect --unit=silence -- python3 /srv/silence.py")
    try:
        server.wait_for_listener(8098)
        yield {}
    finally:
        server.run("systemctl stop silence")


@contextmanager
def silent_address(server: Server) -> Iterator[dict[str, Any]]:
    """An address that the controller connects to and hears nothing from. Its port is free."""
    with socket.create_server(("127.0.0.1", 8098)):
        yield {}


@contextmanager
def small_archive(server: Server) -> Iterator[dict[str, Any]]:
    """An archive with one module, and its sum of another day."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plugins.tar")
        with tarfile.open(path, "w") as archive:
            archive.add(__file__, "plugins/mod_auth_token.lua")
        yield {"jitsi_tokens_source": "archive", "jitsi_tokens_archive": str(path)}


@contextmanager
def openssl_held(server: Server) -> Iterator[dict[str, Any]]:
    server.run("apt-mark hold openssl")
    try:
        yield {}
    finally:
        server.run("apt-mark unhold openssl")


@contextmanager
def clock_ahead(server: Server) -> Iterator[dict[str, Any]]:
    """Python in the server is 45 s ahead: containers share the clock of the machine."""
    server.run("install -d /srv/clock && cat > /srv/clock/sitecustomize.py", stdin=_UNTRUE_CLOCK)
    wrapper = '#!/bin/sh\nPYTHONPATH=/srv/clock exec /usr/bin/python3 "$@"\n'
    server.run("cat > /srv/clock/python3 && chmod +x /srv/clock/python3", stdin=wrapper)
    yield {"ansible_python_interpreter": "/srv/clock/python3"}


@contextmanager
def visitor(server: Server) -> Iterator[dict[str, Any]]:
    """A user who may log in and nothing else."""
    server.run(
        "id -u visitor > /dev/null 2>&1 || useradd --create-home visitor;"
        "cp -a /root/.ssh ~visitor/; chown -R visitor: ~visitor/.ssh"
    )
    yield {"ansible_user": "visitor"}


@contextmanager
def visitor_without_become(server: Server) -> Iterator[dict[str, Any]]:
    with visitor(server) as variables:
        yield {**variables, "ansible_become": False}


@contextmanager
def visitor_whom_sudo_refuses(server: Server) -> Iterator[dict[str, Any]]:
    """What sudo says to whoever is not in sudoers; the image has no sudo."""
    refusal = "#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n"
    server.run("cat > /srv/sudo && chmod +x /srv/sudo", stdin=refusal)
    with visitor(server) as variables:
        yield {**variables, "ansible_become_exe": "/srv/sudo"}


REFUSALS = [
    pytest.param(
        as_it_is,
        {"jitsi_domain": None},
        ["jitsi_domain is not set.", "Put the public name of the server in", "group_vars/all.yml"],
        id="no domain",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_domain": "Meet.example.org"},
        ["jitsi_domain has capital letters.", "Write it in lower case."],
        id="domain with capitals",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_features": ["token"]},
        ["jitsi_features names 'token', which is no feature.", "Did you mean tokens?"],
        id="unknown feature",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_features": ["guests", "jicofo_login", "affiliation"]},
        ["jitsi_features has both jicofo_login and affiliation.", "Remove one of them."],
        id="features that contradict each other",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_features": ["guests"], "jitsi_extra_modules": {"guest": ["smacks"]}},
        ["With smacks on the guest host", "Remove smacks from guest in jitsi_extra_modules."],
        id="module that opens a door",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_token_isuer": "somebody"},
        ["jitsi_token_isuer is no variable", "Did you mean jitsi_token_issuer?"],
        id="misspelt variable",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_web_certficate": "/etc/ssl/meet.pem"},
        ["jitsi_web_certficate is no variable", "Did you mean jitsi_web_certificate?"],
        id="misspelt variable of a role",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_token_secret": _LONG_SECRET[:31]},
        ["jitsi_token_secret is shorter than 32 characters.", "openssl rand -base64 32"],
        id="short secret",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_token_secret": _LONG_SECRET},
        ["jitsi_token_secret can be guessed: without what it repeats", "openssl rand -base64 32"],
        id="secret that repeats a word",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_token_secret": f"{_LONG_SECRET}\n"},
        ["jitsi_token_secret has a line break", "Remove it."],
        id="secret with a line break",
    ),
    pytest.param(
        as_it_is,
        {"prosody_log_level": "debug"},
        ["prosody_log_level is debug", "key of the tokens", "Choose info; or"],
        id="secrets in the journal",
    ),
    # Before all others that ask the host: this one has to fetch the lists of packages
    pytest.param(
        as_it_is,
        {"prosody_minimum_version": "99"},
        [
            "is older than prosody_minimum_version (99).",
            "Use a newer release of the distribution, or set prosody_repository: upstream",
        ],
        id="Prosody too old",
    ),
    pytest.param(
        as_it_is,
        {**_UPSTREAM, "prosody_repository_url": "http://127.0.0.1:9/debian"},
        ["http://127.0.0.1:9/debian trixie cannot be read", "Check prosody_repository_url"],
        id="Prosody's repository out of reach",
    ),
    pytest.param(
        as_it_is,
        {**_UPSTREAM, "prosody_repository_fingerprint": None},
        [
            "prosody_repository_key has the fingerprint",
            "not 107D65A0A148C237FDF00AB47393D7E674D9DB",
        ],
        id="key of Prosody's repository with another fingerprint",
    ),
    pytest.param(
        as_it_is,
        {**_UPSTREAM, "prosody_repository_key": "prosody.asc"},
        ["prosody_repository_key cannot be read, or holds nothing.", "Name a file on this contr"],
        id="key of Prosody's repository that is not there",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_versions": {"prosody": "99.1-1"}},
        ["prosody 99.1-1 is no longer offered; the repositories have ", "Correct jitsi_versions"],
        id="version of Prosody that is not offered",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_versions": {"jicofo": "99.1-1"}},
        ["jicofo 99.1-1 is no longer offered; ", " has 1.0.1-1~standin.", "Correct jitsi_versions"],
        id="version of Jicofo that is not offered",
    ),
    pytest.param(
        openssl_held,
        {"jitsi_versions": {"openssl": "99.1-1"}},
        ["openssl is held at version ", "but 99.1-1 is asked for", "apt-mark unhold openssl"],
        id="held package in the way",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_web_certificate": "/etc/ssl/meet.pem"},
        ["Only one of jitsi_web_certificate and jitsi_web_certificate_key is set.", "Set both"],
        id="certificate without its key",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_web_certificate_key": "/etc/ssl/meet.key"},
        ["Only one of jitsi_web_certificate and jitsi_web_certificate_key is set.", "Set both"],
        id="key without its certificate",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_web_logins_per_second": 0},
        ["jitsi_web_logins_per_second is 0.", "Set it to 1 or more."],
        id="nobody may log in",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_web_connections_per_address": 9000},
        ["jitsi_web_connections_per_address is 9000", "so one address could take all"],
        id="all connections for one address",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_tokens_repository_url": "http://127.0.0.1:9/apt"},
        ["http://127.0.0.1:9/apt stable/ cannot be read", "Check jitsi_tokens_repository_url"],
        id="repository out of reach",
    ),
    pytest.param(
        silent_port,
        {"jitsi_tokens_repository_url": "http://127.0.0.1:8098/apt"},
        ["http://127.0.0.1:8098/apt stable/ cannot be read", "Check jitsi_tokens_repository_url"],
        id="repository that keeps silent",
    ),
    pytest.param(
        silent_port,
        {**_UPSTREAM, "prosody_repository_url": "http://127.0.0.1:8098/debian"},
        ["http://127.0.0.1:8098/debian trixie cannot be read", "Check prosody_repository_url"],
        id="Prosody's repository that keeps silent",
    ),
    pytest.param(
        silent_address,
        {"jitsi_tokens_repository_key": "https://127.0.0.1:8098/jitsi.asc"},
        ["jitsi_tokens_repository_key cannot be read", "a warning says why"],
        id="address of a key that keeps silent",
    ),
    pytest.param(
        silent_address,
        {
            "jitsi_tokens_source": "archive",
            "jitsi_tokens_archive": "https://127.0.0.1:8098/plugins.tar",
            "jitsi_tokens_archive_sha256": "0" * 64,
        },
        ["https://127.0.0.1:8098/plugins.tar cannot be fetched (", "Check jitsi_tokens_archive"],
        id="address of an archive that keeps silent",
    ),
    pytest.param(
        small_archive,
        {"jitsi_tokens_archive_sha256": "0" * 64},
        ["The archive has the SHA-256 ", "but jitsi_tokens_archive_sha256 is 0000"],
        id="archive with another sum",
    ),
    pytest.param(
        small_archive,
        {},
        ["The archive lacks mod_token_verification.lua, token/util.lib.lua, util.lib.lua. Set"],
        id="archive that lacks modules",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_tokens_repository_suite": "wrongly-signed/"},
        ["is not signed by the key in jitsi_tokens_repository_key.", "get the right key"],
        id="repository signed by another key",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_tokens_repository_fingerprint": "0" * 40},
        ["jitsi_tokens_repository_key has the fingerprint", "Do not install from it before"],
        id="key with another fingerprint",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_tokens_repository_key": __file__},
        ["jitsi_tokens_repository_key holds no ASCII-armoured OpenPGP key", "Give the .asc file"],
        id="key file that is no key",
    ),
    pytest.param(
        as_it_is,
        {"jitsi_tokens_repository_key": "stand-ins.asc"},
        [
            'jitsi_tokens_repository_key is "stand-ins.asc", which is neither',
            "Set it to one of these.",
        ],
        id="key file that is not there",
    ),
    pytest.param(
        released_as("Debian", "11"),
        {},
        [f"{NAME} runs Debian 11", "which is not supported. Use Debian 12 or 13, Ubuntu 22.04"],
        id="older Debian",
    ),
    pytest.param(
        released_as("Fedora", "44"),
        {},
        [f"{NAME} runs Fedora 44, which is not supported. Use Debian 12 or 13, Ubuntu 22.04"],
        id="other distribution",
    ),
    pytest.param(
        port_taken,
        {},
        [f"python3 listens on port 443 of {NAME}", "Stop and disable that program"],
        id="port 443 taken",
    ),
    pytest.param(
        clock_ahead,
        {},
        [f"The clock of {NAME} is off by ", " s, more than 30 s", "Install an NTP client"],
        id="clock ahead",
    ),
    pytest.param(
        visitor,
        {},
        [f"visitor cannot become root on {NAME} (", "sudo: not found", "Connect as root"],
        id="no root and no sudo",
    ),
    pytest.param(
        visitor_whom_sudo_refuses,
        {},
        [f"visitor cannot become root on {NAME} (Missing sudo password)", "Connect as root"],
        id="no root and sudo refuses",
    ),
    pytest.param(
        visitor_without_become,
        {},
        [f"visitor on {NAME} is not root.", "Connect as root", "ansible_become: true"],
        id="no root and no become",
    ),
]


@pytest.mark.parametrize(("situation", "variables", "words"), REFUSALS)
def test_refused_before_the_host_is_touched(
    server: Server,
    controller: Controller,
    situation: Callable[[Server], AbstractContextManager[dict[str, Any]]],
    variables: dict[str, Any],
    words: list[str],
) -> None:
    with situation(server) as more:
        before = server.snapshot()
        run = controller.deploy(**variables, **more)
        after = server.snapshot()

    assert run.returncode != 0
    sentence = run.messages[-1]
    assert "\n" not in sentence
    assert [each for each in words if each not in sentence] == [], sentence
    assert "Traceback" not in run.output
    assert _LONG_SECRET[:31] not in run.output
    assert run.recap["failed"] == 1
    assert differences(before, after) == []
    assert run.seconds < 120  # nothing waits for a repository without end; a busy machine is slow
