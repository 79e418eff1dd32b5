"""Module ``acme_certificate``: when an authority is asked, how, and what its refusal means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.vestibule import acme_certificate

from tests.authority import issue

RunModule = Callable[..., dict[str, Any]]
NAME = "meet.example.org"
SECOND = "turn.meet.example.org"
SERVER = "https://acme.example.org/directory"
HOOK = "/usr/local/lib/vestibule/new-certificate"
GIVEN: dict[str, Any] = {
    "state": "present",
    "domain": NAME,
    "more_names": [],
    "server": SERVER,
    "email": "",
    "webroot": "/var/lib/vestibule-acme",
    "auth_hook": "",
    "cleanup_hook": "",
    "deploy_hook": HOOK,
    "timer": "certbot.timer",
}
CONF = """
version = 4.0.0
archive_dir = /etc/letsencrypt/archive/meet.example.org
cert = /etc/letsencrypt/live/meet.example.org/cert.pem

[renewalparams]
account = 0123
authenticator = {authenticator}
server = {server}
renew_hook = {hook}
key_type = ecdsa
{more}[[webroot]]
{name} = /var/lib/vestibule-acme
"""


class Host:
    """The folders of certbot, and programs that say what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.home, self.backup = folder / "letsencrypt", folder / "backup"
        self.calls = folder / "calls"
        self.certificate = folder / f"{NAME}.crt"
        self.program("systemctl", "exit 0")
        self.program("certbot", "exit 0")

    def program(self, name: str, script: str) -> None:
        """A program in the search path that notes its arguments."""
        path = self.calls.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        path.chmod(0o755)

    def has(
        self,
        name: str = NAME,
        *,
        days: float = 60,
        begun: float = 30,
        more: str = "",
        more_names: tuple[str, ...] = (),
        **said: str,
    ) -> None:
        """A certificate that certbot got, and that is in its place."""
        for part in ("live", "renewal", "archive"):
            (self.home / part).mkdir(parents=True, exist_ok=True)
        chain = issue(name, days=(-begun, days), names=(name, *more_names)).pem
        (self.home / "live" / name).mkdir()
        (self.home / "live" / name / "fullchain.pem").write_text(chain)
        words = {"authenticator": "webroot", "server": SERVER, "hook": HOOK, **said}
        conf = CONF.format(name=name, more=more, **words)
        (self.home / "renewal" / f"{name}.conf").write_text(conf)
        self.certificate.write_text(chain)

    def called(self, program: str) -> list[str]:
        """With what a program was called."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line.partition(" ")[2] for line in lines if line.split(" ")[0] == program]


@pytest.fixture(name="host")
def _host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(acme_certificate, "HOME", str(host.home))
    monkeypatch.setattr(acme_certificate, "BACKUP", str(host.backup))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return host


def run(run_module: RunModule, host: Host, **given: Any) -> dict[str, Any]:
    return run_module(acme_certificate, **{**GIVEN, "path": str(host.certificate), **given})


def test_one_that_is_good_for_a_day_is_not_asked_for_in_every_run(
    host: Host, run_module: RunModule
) -> None:
    host.has(days=0.5, begun=0.5)
    assert run(run_module, host)["changed"] is False


def test_who_is_refused_keeps_the_one_of_the_former_name(host: Host, run_module: RunModule) -> None:
    """Something renews it as before."""
    host.has("old.example.org")
    host.certificate.unlink()
    host.program("certbot", "exit 1")
    assert run(run_module, host)["failed"]
    assert [words for words in host.called("certbot") if words.startswith("delete")] == []
    host.program("certbot", f"mkdir -p {host.home}/live/{NAME}")
    assert run(run_module, host)["done"] == ["deleted old.example.org", "asked"]


def test_who_has_none_asks(host: Host, run_module: RunModule) -> None:
    host.program("certbot", f"mkdir -p {host.home}/live/{NAME}")
    assert run(run_module, host, email="a@example.org")["done"] == ["asked"]
    (words,) = host.called("certbot")
    for part in (
        f"--server {SERVER} --cert-name {NAME} -d {NAME}",
        "--email a@example.org",
        f"--deploy-hook {HOOK}",
        "--webroot --webroot-path /var/lib/vestibule-acme",
    ):
        assert part in words
    assert "--force-renewal" not in words


@pytest.mark.parametrize(
    ("has", "given"),
    [
        pytest.param({"days": 19, "begun": 71}, {}, id="ends soon"),
        pytest.param({"days": -1}, {}, id="has ended"),
        pytest.param({"server": "https://other.example.org/"}, {}, id="another authority"),
        pytest.param({"hook": "/srv/mine"}, {}, id="asked for by the operator"),
        pytest.param({}, {"more_names": [SECOND]}, id="for one more name"),
        pytest.param({"more_names": (SECOND,)}, {}, id="for one name less"),
        pytest.param({"authenticator": "nginx"}, {}, id="asked in another way"),
        pytest.param({}, {"auth_hook": "/srv/hook"}, id="by DNS from now on"),
        pytest.param(
            {"authenticator": "manual", "more": "manual_auth_hook = /srv/old\n"},
            {"auth_hook": "/srv/hook"},
            id="by another program",
        ),
        pytest.param(
            {"authenticator": "manual", "more": "manual_auth_hook = /srv/hook\n"},
            {"auth_hook": "/srv/hook", "cleanup_hook": "/srv/tidy"},
            id="with something to tidy up",
        ),
        pytest.param({"days": 0.2, "begun": 0.8}, {}, id="good for a day, most of which is over"),
    ],
)
def test_another_one_is_asked_for(host: Host, run_module: RunModule, has: Any, given: Any) -> None:
    host.has(**has)
    assert run(run_module, host, _ansible_check_mode=True, **given)["done"] == ["asked"]
    assert host.called("certbot") == []
    assert run(run_module, host, **given)["done"] == ["asked"]
    assert "--force-renewal" in host.called("certbot")[0]


def test_who_has_one_asks_nobody(host: Host, run_module: RunModule) -> None:
    host.has(days=21)
    assert run(run_module, host)["changed"] is False
    assert host.called("certbot") == []


def test_names_are_asked_for_together(host: Host, run_module: RunModule) -> None:
    host.has(more_names=(SECOND,))
    assert run(run_module, host, more_names=[SECOND])["changed"] is False
    assert run(run_module, host, more_names=[SECOND, "b.example.org"])["done"] == ["asked"]
    (words,) = host.called("certbot")
    assert f"--cert-name {NAME} -d {NAME} -d {SECOND} -d b.example.org --key-type" in words
    assert "--force-renewal --renew-with-new-domains" in words


def test_by_dns_the_programs_are_named(host: Host, run_module: RunModule) -> None:
    run(run_module, host, auth_hook="/srv/hook", cleanup_hook="/srv/clean")
    (words,) = host.called("certbot")
    assert "--manual --preferred-challenges dns --manual-auth-hook /srv/hook" in words
    assert "--manual-cleanup-hook /srv/clean" in words
    assert "webroot" not in words


def test_without_a_web_server_certbot_answers_itself(host: Host, run_module: RunModule) -> None:
    host.has()
    assert run(run_module, host, webroot="")["done"] == ["asked"]
    (words,) = host.called("certbot")
    assert "--standalone --preferred-challenges http" in words
    assert "webroot" not in words
    conf = host.home / "renewal" / f"{NAME}.conf"
    conf.write_text(conf.read_text().replace("= webroot", "= standalone"))
    assert run(run_module, host, webroot="")["done"] == []


def test_one_that_is_not_in_its_place_is_put_there(host: Host, run_module: RunModule) -> None:
    host.has()
    host.certificate.write_text("stand-in")
    host.program("hook", f"cat $RENEWED_LINEAGE/fullchain.pem > {host.certificate}")
    hook = f"{host.calls.parent}/bin/hook"
    conf = host.home / "renewal" / f"{NAME}.conf"
    conf.write_text(conf.read_text().replace(HOOK, hook))
    assert run(run_module, host, deploy_hook=hook)["done"] == ["installed"]
    assert run(run_module, host, deploy_hook=hook)["changed"] is False


def test_a_timer_that_does_not_run_is_started(host: Host, run_module: RunModule) -> None:
    host.has()
    host.program("systemctl", 'case "$1" in is-active) exit 3;; esac')
    assert run(run_module, host)["done"] == ["timer"]
    assert "enable --now --quiet certbot.timer" in host.called("systemctl")


def test_what_is_wished_for_no_more_goes_with_a_copy(host: Host, run_module: RunModule) -> None:
    host.has("former.example.org")
    host.has("others.example.org", hook="/srv/mine")
    result = run(run_module, host, state="absent")
    assert result["done"] == ["deleted former.example.org"]
    assert host.called("certbot") == ["delete --non-interactive --cert-name former.example.org"]
    (copy,) = host.backup.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o700
    assert {each.name for each in copy.iterdir()} == {"live", "former.example.org.conf"}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param(
            "  Domain: meet.example.org\n  Type:   dns\n  Detail: DNS problem: NXDOMAIN\n",
            ["DNS problem: NXDOMAIN", "Have meet.example.org lead to this host in the DNS"],
            id="no record",
        ),
        pytest.param(
            "  Domain: x\n  Type:   connection\n  Detail: 192.0.2.1: Fetching: Timeout\n",
            ["Timeout", "has to reach port 80"],
            id="firewall",
        ),
        pytest.param(
            "  Domain: x\n  Type:   unauthorized\n  Detail: Invalid response: 404\n",
            ["404", "Another server answers at http://meet.example.org"],
            id="another server",
        ),
        pytest.param(
            "  Domain: x\n  Type:   caa\n  Detail: CAA record prevents issuance\n",
            ["CAA record prevents", "Allow this authority in the CAA record"],
            id="CAA",
        ),
        pytest.param(
            "Some challenges\nError creating new order :: too many certificates already issued\n",
            [
                "too many certificates already issued",
                "Wait until the authority",
                "its root certificate, as a file on the host, in jitsi_web_certificate_authority",
            ],
            id="limit",
        ),
        pytest.param(
            "ssl.SSLError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed\n",
            ["does not trust the certificate of that address", "have the host trust its root"],
            id="own authority",
        ),
        pytest.param(
            "Saving debug log to x\nRequesting a certificate\nOdd thing\nAsk for help at y\n",
            ["Odd thing", "letsencrypt.log"],
            id="otherwise",
        ),
        pytest.param("", ["certbot says nothing"], id="nothing"),
    ],
)
def test_a_refusal_says_what_helps(
    host: Host, run_module: RunModule, output: str, words: list[str]
) -> None:
    host.has(days=1)
    before = host.certificate.read_text()
    (host.calls.parent / "said").write_text(output)
    host.program("certbot", f"cat {host.calls.parent}/said; exit 1")
    result = run(run_module, host)
    assert result["failed"] is True
    assert result["msg"].startswith(f"{SERVER} gave no certificate for {NAME}")
    assert [each for each in words if each not in result["msg"]] == []
    assert host.certificate.read_text() == before


def test_without_certbot_it_says_so(
    host: Host, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    result = run(run_module, host)
    assert result["failed"] is True
    assert "certbot is not installed" in result["msg"]
