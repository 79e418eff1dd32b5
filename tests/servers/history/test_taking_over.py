"""A server that others configured is recognised, and taken over only when that is wanted.

The tests run in this order, each with all three servers.
"""

from __future__ import annotations

import json

import pytest

from tests.servers.support import ROOT, Controller, Deployment, Server, differences

HOSTS = ("by-hand", "by-packages", "by-guides")
# What is found where, in words of the sentence.
FOUND = {
    "by-hand": {
        "/etc/prosody/prosody.cfg.lua": "with hosts in it",
        "/etc/prosody/conf.d/chat.example.org.cfg.lua": "beside the managed ones",
        "/etc/nginx/conf.d/meet.conf": "another site of the web server",
        "/etc/nginx/sites-enabled/default": "default site, changed by hand",
        "/etc/apt/sources.list": "others in this file stay",
    },
    "by-packages": {
        "/etc/prosody/conf.avail/meet.example.org.cfg.lua": "host file of Jitsi's packages",
        "/etc/jitsi/jicofo/jicofo.conf": "Jicofo's configuration",
        "/etc/apt/sources.list.d/jitsi.list": "apt refuses to work with two keys for one",
    },
    "by-guides": {
        "/etc/prosody/conf.d/meet.example.org.cfg.lua": "rooms that are not stored",
        "/etc/jitsi/jicofo/sip-communicator.properties": "switch Jicofo's own authentication on",
        "/usr/share/jitsi-meet/prosody-plugins/mod_token_owner_by_hand.lua": "somebody put",
        "/etc/apt/sources.list.d/extra.sources": "others in this file stay",
        "/usr/local/share/lua/5.4/luajwtjitsi.lua": "no longer needed",
    },
}
GONE = [
    pytest.param("by-hand", "/etc/prosody/conf.d/chat.example.org.cfg.lua", id="other host"),
    pytest.param("by-hand", "/etc/nginx/conf.d/meet.conf", id="other site"),
    pytest.param("by-hand", "/etc/nginx/sites-enabled/default", id="default site"),
    pytest.param("by-packages", "/etc/apt/sources.list.d/jitsi.list", id="sources"),
    pytest.param("by-guides", "/etc/jitsi/jicofo/sip-communicator.properties", id="properties"),
    pytest.param(
        "by-guides",
        "/usr/share/jitsi-meet/prosody-plugins/mod_token_owner_by_hand.lua",
        id="module",
    ),
]


@pytest.fixture(name="servers", scope="module")
def _servers() -> dict[str, Server]:
    return {name: Server(name) for name in HOSTS}


@pytest.fixture(name="before", scope="module")
def _before(servers: dict[str, Server]) -> dict[str, dict[str, str]]:
    return {name: server.snapshot() for name, server in servers.items()}


@pytest.fixture(name="originals", scope="module")
def _originals(servers: dict[str, Server]) -> dict[str, dict[str, str]]:
    """SHA-256 of what is found on each server, by path."""
    return {
        name: digests(server.run(f"sha256sum {' '.join(FOUND[name])}"))
        for name, server in servers.items()
    }


def digests(text: str) -> dict[str, str]:
    """Digest by path of what ``sha256sum`` prints."""
    return {path: digest for digest, path in (line.split("  ", 1) for line in text.splitlines())}


@pytest.fixture(name="refused", scope="module")
def _refused(
    controller: Controller,
    before: dict[str, dict[str, str]],
    originals: dict[str, dict[str, str]],
) -> Deployment:
    assert before
    assert originals
    return controller.deploy()


@pytest.fixture(name="adopted", scope="module")
def _adopted(controller: Controller, refused: Deployment) -> Deployment:
    assert refused.returncode != 0
    return controller.deploy(jitsi_history_adopt=True)


@pytest.mark.parametrize("host", HOSTS)
def test_what_was_found_is_said(refused: Deployment, host: str) -> None:
    output = " ".join(refused.output.replace("''", "'").split())  # as the terminal wraps it
    for path, words in FOUND[host].items():
        _, found, rest = output.partition(f"ok: [{host}] => (item={path}) ")
        assert found, path
        assert words in rest[:240], path


def test_they_are_refused_with_the_way_out(refused: Deployment) -> None:
    sentences = [
        each
        for each in refused.messages
        if "has a configuration that Vestibule did not write" in each
    ]
    assert len(sentences) == len(HOSTS)
    assert all("jitsi_history_adopt: true" in each for each in sentences)
    entries = "the entries of http://127.0.0.1:8099/apt in /etc/apt/sources.list"
    assert [each for each in sentences if entries in each]


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_changes_on_a_refused_server(
    refused: Deployment,
    servers: dict[str, Server],
    before: dict[str, dict[str, str]],
    host: str,
) -> None:
    assert refused.returncode != 0
    assert differences(before[host], servers[host].snapshot()) == []


@pytest.mark.parametrize("host", HOSTS)
def test_taken_over_its_doors_lock(adopted: Deployment, host: str) -> None:
    assert adopted.recap_of(host)["failed"] == 0, adopted.output[-6000:]
    report = ROOT / "build" / "reports" / f"{host}-access.json"
    rows = json.loads(report.read_text(encoding="utf-8"))
    assert len(rows) > 50
    assert [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize("host", HOSTS)
def test_a_copy_of_every_file_is_kept(
    adopted: Deployment,
    servers: dict[str, Server],
    originals: dict[str, dict[str, str]],
    host: str,
) -> None:
    assert adopted.returncode == 0
    kept = servers[host].run("cd /var/backups/vestibule/*/ && find * -type f -exec sha256sum {} +")
    changed = {
        path: digest
        for path, digest in originals[host].items()
        if not path.startswith("/usr/local/share/lua")  # only noted
    }
    assert changed
    assert changed.items() <= {f"/{path}": each for path, each in digests(kept).items()}.items()


@pytest.mark.parametrize(("host", "path"), GONE)
def test_what_must_not_stay_is_gone(
    adopted: Deployment, servers: dict[str, Server], host: str, path: str
) -> None:
    assert adopted.returncode == 0
    servers[host].run(f"test ! -e {path}")


@pytest.mark.parametrize(
    ("host", "path", "words"),
    [
        ("by-hand", "/etc/apt/sources.list", "deb http"),
        ("by-guides", "/etc/apt/sources.list.d/extra.sources", "apt-of-others"),
    ],
)
def test_sources_of_others_stay_and_apt_reads_them(
    adopted: Deployment, servers: dict[str, Server], host: str, path: str, words: str
) -> None:
    assert adopted.returncode == 0
    source = servers[host].run(f"cat {path}; apt-get update 2>&1")
    assert words in source
    assert "http://127.0.0.1:8099/apt\n" not in source
    assert "Conflicting" not in source


def test_a_site_for_other_names_stays(adopted: Deployment, servers: dict[str, Server]) -> None:
    assert adopted.returncode == 0
    assert "beta.conf" not in adopted.output
    servers["by-hand"].run("test -e /etc/nginx/conf.d/beta.conf")


def test_the_next_run_finds_nothing(adopted: Deployment, controller: Controller) -> None:
    assert adopted.returncode == 0
    again = controller.deploy("--skip-tags=jitsi_verify")  # whose cases would meet the same doors
    assert again.returncode == 0, again.output[-6000:]
    for host in HOSTS:
        assert again.recap_of(host)["changed"] == 0
    assert "meet.conf (" not in again.output
