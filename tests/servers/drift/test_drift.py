"""What drift says is what check mode predicts, and what the next run then changes.

Each test goes on with the server as the one before left it, as deployments take their time.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import look
from tests.servers.support import DOMAIN, ROOT, Controller, Deployment, Server, differences

SITE = f"/etc/nginx/sites-available/{DOMAIN}.conf"
SECRETS = f"/etc/prosody/conf.avail/{DOMAIN}.secrets.cfg.lua"
MODULE = "/usr/local/share/vestibule/prosody-plugins/mod_key_guard.lua"
DROP_IN = "/etc/systemd/system/jicofo.service.d/vestibule.conf"
CERTIFICATE = f"/etc/vestibule/web/{DOMAIN}.crt"
THEIRS = "/etc/systemd/system/nginx.service.d/limits.conf"
# Of what has no wish, by what it is
TASKS = {
    ("service", "coturn"): "coturn : Start | Enable and start TURN, or restart it where something"
    " changed",
    (
        "service",
        "jitsi-videobridge2",
    ): "jitsi_videobridge : Start | Enable and start the bridge, and wait until it answers",
    ("program", "jicofo"): "jicofo : Configure | Have Jicofo run what is installed",
    ("program", "nginx"): "jitsi_web : Configure | Have nginx run what is installed",
    ("program", "prosody"): "prosody : Configure | Have Prosody run what is installed",
    ("hold", "jicofo"): "jitsi_lock : Hold | Hold the packages that have an exact version, and"
    " release others",
    (
        "certificate",
        CERTIFICATE,
    ): "jitsi_web : Configure | Have nginx show the certificate that is in its file",
    ("package", "lua-inspect"): "jitsi_tokens : Packages | Install the packages",
}
_BLOCK = re.compile(r"^TASK \[(.*?)\] \*+\n(.*?)(?=^(?:TASK|RUNNING|PLAY) |\Z)", re.M | re.S)
_PATHS = re.compile(r"^    paths:\n((?:    - \S+\n)+)", re.M)


@dataclass(frozen=True)
class Drift:
    """What the playbook said."""

    run: Deployment
    said: list[dict[str, str]]

    @property
    def things(self) -> dict[tuple[str, str], str]:
        """How things differ, by what they are."""
        return {(each["kind"], each["subject"]): each["what"] for each in self.said}


@dataclass
class Operator:
    """Who asks, with the inventory of the server."""

    controller: Controller
    wanted: dict[str, Any]
    reports: Path

    def drift(self, *accepted: str) -> Drift:
        """Ask what differs. The key that ends soon is known."""
        run = self.controller.play(
            "drift.yml",
            jitsi_domain=DOMAIN,
            jitsi_verify_report_directory=str(self.reports),
            drift_accepted=["leaving", *accepted],
            **self.wanted,
        )
        report = json.loads((self.reports / "drift-drift.json").read_text(encoding="utf-8"))
        assert report["looked"] is (run.returncode in (0, 2)), run.output[-3000:]
        assert bool(report["differences"]) is (run.returncode == 2), run.output[-3000:]
        for each in report["differences"]:
            assert each["subject"] in run.output
        return Drift(run, report["differences"])

    def site(self, *flags: str) -> Deployment:
        """Deploy, or say what that would do, without the proof."""
        return self.controller.deploy(
            "-v", "--diff", "--skip-tags=jitsi_verify", *flags, **self.wanted
        )


@pytest.fixture(name="operator", scope="module")
def _operator(
    controller: Controller, wanted: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Operator:
    return Operator(controller, wanted, tmp_path_factory.mktemp("reports"))


def tasks_by_wish() -> dict[str, str]:
    """Names of the tasks that fulfil wishes, by the wish."""
    found: dict[str, str] = {}
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in yaml.safe_load(path.read_text(encoding="utf-8")):
            for module in look._MODULES.keys() & task.keys():
                wish = re.search(r"_wishes\.(\w+)\.", str(task[module]))
                if wish:
                    found.setdefault(wish[1], f"{path.parents[1].name} : {task['name']}")
    return found


def changed(run: Deployment) -> dict[str, set[str]]:
    """The paths that each task changed, by its name; none where it keeps them from logs."""
    assert run.returncode == 0, run.output[-3000:]
    return {
        name: set(re.findall(r"- (\S+)", "".join(_PATHS.findall(said))))
        for name, said in _BLOCK.findall(run.output)
        if re.search("^changed: ", said, re.M)
    }


def state(server: Server) -> dict[str, str]:
    """What the server is like, without what its watch writes from time to time."""
    return {name: each for name, each in server.snapshot().items() if "vestibule-watch" not in name}


def expected(drift: Drift) -> set[str]:
    """Tasks that mend what drift said."""
    by_wish = tasks_by_wish()
    mended = [each for each in drift.said if each["mended_by"] == "the next run"]
    assert mended
    return {
        by_wish[each["wish"]] if each["wish"] else TASKS[each["kind"], each["subject"]]
        for each in mended
    }


def test_without_secrets_nobody_could_look_and_none_are_made(
    controller: Controller, tmp_path: Path
) -> None:
    secrets = controller.inventory.parent / ".secrets"
    hidden = tmp_path / "secrets"
    if secrets.exists():
        secrets.rename(hidden)
    try:
        run = controller.play(
            "drift.yml", jitsi_domain=DOMAIN, jitsi_verify_report_directory=str(tmp_path)
        )
        assert not secrets.exists()
    finally:
        if hidden.exists():
            hidden.rename(secrets)
    assert run.returncode == 4, run.output[-3000:]
    assert "only a deployment makes one" in " ".join(run.output.split())
    report = json.loads((tmp_path / "drift-drift.json").read_text(encoding="utf-8"))
    assert report == {"host": "drift", "looked": False, "differences": []}


def test_on_a_server_as_it_has_to_be_nothing_differs(operator: Operator) -> None:
    drift = operator.drift()
    assert (drift.run.returncode, drift.said) == (0, [])


@pytest.fixture(name="broken", scope="module")
def _broken(operator: Operator, server: Server) -> Drift:
    """What drift says of a server on which somebody did ten things."""
    server.run(
        f"""
        echo '# by hand' >> {SITE}
        chmod 0644 {SECRETS}
        chown nobody /etc/vestibule/tokens/keys.json
        rm {MODULE}
        echo '# by hand' >> {DROP_IN}
        prosodyctl register jvb auth.{DOMAIN} other
        prosodyctl register jvb-old auth.{DOMAIN} other
        systemctl stop coturn
        systemctl disable --quiet jitsi-videobridge2
        apt-mark unhold jicofo
        openssl req -x509 -key /etc/vestibule/web/{DOMAIN}.key -subj /CN={DOMAIN} \
            -addext subjectAltName=DNS:{DOMAIN} -out {CERTIFICATE} \
            -not_before 20260101000000Z -not_after "$(date -ud '10 days' +%Y%m%d%H%M%SZ)"
        """
    )
    before = state(server)
    drift = operator.drift()
    assert drift.run.returncode == 2, drift.run.output[-3000:]
    assert differences(before, state(server)) == []
    return drift


@pytest.mark.parametrize(
    ("kind", "subject", "what"),
    [
        ("file", SITE, "content changed on the host"),
        ("file", SECRETS, "mode 0644, not 0640"),
        ("file", "/etc/vestibule/tokens/keys.json", "owner 65534:"),
        ("file", MODULE, "missing"),
        ("file", DROP_IN, "other content"),
        ("account", f"jvb@auth.{DOMAIN}", "other password"),
        ("account", f"jvb-old@auth.{DOMAIN}", "should not be there"),
        ("service", "coturn", "does not run"),
        ("service", "jitsi-videobridge2", "does not start at boot"),
        ("hold", "jicofo", "not held"),
        ("certificate", CERTIFICATE, "ends soon"),
    ],
)
def test_drift_says_what_differs(broken: Drift, kind: str, subject: str, what: str) -> None:
    (said,) = (
        each
        for each in broken.said
        if (each["kind"], each["subject"]) == (kind, subject)
        and each["what"] != "the program that runs shows another one"
    )
    assert said["what"].startswith(what)
    assert said["mended_by"] == "the next run"


def test_drift_is_what_check_mode_predicts_and_what_the_run_changes(
    operator: Operator, broken: Drift
) -> None:
    predicted = changed(operator.site("--check"))
    done = changed(operator.site())
    assert predicted == done
    assert set(done) == expected(broken)
    # Of tasks that show paths
    shown = set().union(*done.values())
    said = {subject for kind, subject in broken.things if kind == "file"}
    assert {SITE, MODULE, DROP_IN} <= shown <= said
    assert operator.drift().said == []


def test_a_package_that_is_gone_comes_back(operator: Operator, server: Server) -> None:
    server.run("dpkg --remove --force-depends lua-inspect")
    drift = operator.drift()
    assert drift.things["package", "lua-inspect"] == "not installed"
    assert drift.things["module", "inspect"] == "does not load"
    predicted = changed(operator.site("--check"))
    done = changed(operator.site())
    # Without the package nothing can be linked, so check mode does not know of it
    assert TASKS["package", "lua-inspect"] in predicted.keys() & done.keys()
    assert operator.drift().said == []


def test_what_no_run_mends_is_said_and_left(operator: Operator, server: Server) -> None:
    server.run(
        f"""
        systemctl stop coturn
        systemd-run --quiet --unit=stranger python3 -m http.server 5349 --bind 0.0.0.0
        prosodyctl shell module unload token_verification conference.{DOMAIN}
        printf '[Unit]\\nDocumentation=man:nginx(8)\\n' > {THEIRS}
        apt-mark hold openssl
        """
    )
    server.wait_for_listener(5349)
    record = ROOT / "build/rig/hosts/drift/drift.versions.yml"
    kept = record.read_text(encoding="utf-8")
    record.write_text(re.sub("nginx: .*", "nginx: 1.0.0-1", kept), encoding="utf-8")
    before = state(server)

    drift = operator.drift()
    things = {(each["kind"], each["subject"]): each for each in drift.said}
    taken = things["listener", "port 5349 of 0.0.0.0"]
    assert taken["what"] == "python3 listens there"
    assert things["module", "token_verification"]["what"].startswith("not loaded on conference.")
    assert things["unit", THEIRS]["what"].startswith("changes nginx")
    assert things["hold", "openssl"]["what"] == "held by somebody else"
    assert things["package", "nginx"]["what"].endswith("and 1.0.0-1 was proven")
    assert things["package", "nginx"]["mended_by"] == "the next proof"
    refusal = things["refusal", "site.yml"]
    for each in (taken, refusal, things["unit", THEIRS], things["hold", "openssl"]):
        assert each["mended_by"] == "by hand"

    for flags in (["--check"], []):
        run = operator.site(*flags)
        assert run.returncode == 2
        assert [" ".join(each.split()) for each in run.messages] == [refusal["what"]]
    assert differences(before, state(server)) == []

    server.run(
        "systemctl stop stranger; systemctl daemon-reload; systemctl restart prosody nginx; "
        "systemctl start coturn; apt-mark unhold openssl"
    )
    record.write_text(kept, encoding="utf-8")
    assert [each["subject"] for each in operator.drift().said] == [THEIRS]
    assert operator.drift(THEIRS).said == []
