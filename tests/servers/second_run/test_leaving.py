"""What was made for a wish that is gone goes, and comes back with the wish.

Each test goes on with the server as the one before left it, as deployments take their time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.servers.support import DOMAIN, Controller, Deployment, Server, differences

from .conftest import ALL

OTHER = "another.example.org"
FEW = {**ALL, "jitsi_features": []}
_SITE = f"/etc/nginx/sites-available/{DOMAIN}.conf"
_LIBRARY = "/usr/share/lua/5.2/basexx.lua"
# What the project writes, and what others make of it. Logs are no doors, copies are asked for, and
# the notes of what stood where before are there for whoever uninstalls.
_TRACES = r"""
name=$1 encoded=$(echo "$1" | sed 's/[.]/%2e/g')
places="/etc /usr/local /var/lib/prosody /var/lib/vestibule"
{
    find $places -path /var/lib/vestibule/before -prune -o \( -name "*$name*" -o -lname "*$name*" \
        -o -path "*$encoded/*.dat" ! -name cron.dat \) -printf '%p\n'
    grep --recursive --exclude-dir=before --files-with-matches --fixed-strings "$name" $places \
        || true
    grep --line-number --fixed-strings "Value: $name" /var/cache/debconf/config.dat || true
    nginx -T 2> /dev/null | grep --fixed-strings "$name" || true
    keytool -list -cacerts -storepass changeit 2> /dev/null | grep --fixed-strings "$name" || true
    prosodyctl shell host list | grep --fixed-strings "$name" || true
} | sort -u
"""
# What packages remember of their own, once they have read the domain
_OF_PACKAGES = re.compile(r"^\d+:Value: ")

pytestmark = pytest.mark.usefixtures("whole")


def traces(server: Server, name: str) -> list[str]:
    """Where the server still knows a name."""
    found = server.run(f"set -- {name}\n{_TRACES}").splitlines()
    # Two answers, of which Jitsi's packages read the one, and compare it with the other
    return [each for each in found if not _OF_PACKAGES.match(each)]


def answer(server: Server) -> str:
    """The domain of which the next version of Jitsi's packages makes files."""
    asked = "echo 'get jitsi-videobridge/jvb-hostname' | debconf-communicate"
    return server.run(asked).split()[1]


def kept(server: Server) -> list[str]:
    """Paths of copies, without the folder of their run."""
    return server.run("cd /var/backups/vestibule && find . -type f | cut -d/ -f3-").splitlines()


# Keys and certificates that were made anew, what lists have of them, times, and what remembers
_FLEETING = re.compile(
    r"^(time |listener |content /var/cache/debconf/|(content|file) /var/lib/vestibule/"
    r"(files|before)"
    r"|content /var/lib/prosody/.*[.](crt|key|dat)$|(content|file) /var/lib/prosody/.*cron[.]dat$"
    rf"|file /var/lib/prosody/[a-z]+%2e{OTHER.replace('.', '%2e')}$"
    r"|content /etc/vestibule/web/.*[.](crt|key)$|(content|file) /etc/ssl/certs/"
    r"|content /usr/local/share/ca-certificates/)"
)


def same(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs and should not."""
    found = differences(before, after)
    return [each for each in found if not _FLEETING.match(each.partition(": ")[0])]


def succeeds(run: Deployment) -> Deployment:
    assert run.returncode == 0, run.output[-3000:]
    return run


def test_the_traces_are_there_before(server: Server) -> None:
    """A control: what the search does not find in other tests, it finds here."""
    found = "\n".join(traces(server, DOMAIN))
    encoded = DOMAIN.replace(".", "%2e")
    for place in (
        f"/etc/prosody/conf.d/{DOMAIN}.cfg.lua",
        f"/etc/nginx/sites-enabled/{DOMAIN}.conf",
        f"/etc/vestibule/web/{DOMAIN}.key",
        f"/var/lib/prosody/auth.{DOMAIN}.crt",
        f"/var/lib/prosody/gateway%2e{encoded}/accounts/jigasi.dat",
        f"/etc/ssl/certs/auth.{DOMAIN}.pem",
        f"debian:auth.{DOMAIN}.pem",
        f"server_name {DOMAIN};",
    ):
        assert place in found
    assert answer(server) == DOMAIN


def test_nothing_of_a_former_domain_stays(server: Server, controller: Controller) -> None:
    server.run(f"echo '# Ask Ada' >> {_SITE}; echo '# theirs' > /etc/nginx/conf.d/theirs.conf")
    run = succeeds(controller.deploy(jitsi_domain=OTHER, **ALL))
    assert traces(server, DOMAIN) == []
    assert answer(server) == OTHER
    # It is said what went, and what of it somebody had changed
    assert f"/etc/nginx/sites-enabled/{DOMAIN}.conf" in run.output
    assert f"somebody had changed {_SITE}" in " ".join(run.output.split())
    assert "# Ask Ada" in server.run(f"cat /var/backups/vestibule/*{_SITE}")
    assert server.run("cat /etc/nginx/conf.d/theirs.conf") == "# theirs\n"
    server.run("rm /etc/nginx/conf.d/theirs.conf")
    copies = kept(server)
    assert f"etc/prosody/conf.avail/{DOMAIN}.secrets.cfg.lua" in copies
    assert f"var/lib/prosody/auth.{DOMAIN}.key" in copies
    assert f"var/lib/prosody/auth%2e{DOMAIN.replace('.', '%2e')}/accounts/jvb.dat" in copies
    assert server.run("stat --format '%a %U' /var/backups/vestibule") == "700 root\n"


def test_a_refused_configuration_takes_nothing_away(server: Server, controller: Controller) -> None:
    before = traces(server, OTHER)
    wrong: dict[str, Any] = {"prosody_settings": {"cross_domain_bosh": True}}
    run = controller.deploy(**ALL, **wrong)
    assert "`prosodyctl check config` refused the new files" in run.messages[-1]
    assert traces(server, OTHER) == before
    assert server.run("systemctl is-active prosody") == "active\n"


def test_a_run_that_was_cut_off_on_the_way_is_undone_by_the_former_wish(
    server: Server, controller: Controller
) -> None:
    """After Prosody's files went, and before it was restarted, by a library that is gone."""
    server.run(f"mv {_LIBRARY} {_LIBRARY}.away; rm -f /usr/local/share/lua/5.4/basexx.lua")
    cut = controller.deploy(**ALL)
    server.run(f"mv {_LIBRARY}.away {_LIBRARY}")
    assert "these Lua libraries do not load" in cut.messages[-1]
    assert traces(server, DOMAIN) != []
    succeeds(controller.deploy(jitsi_domain=OTHER, **ALL))
    assert traces(server, DOMAIN) == []


def test_it_goes_without_a_manifest_and_back_to_what_there_was(
    server: Server, controller: Controller, whole: Mapping[str, str]
) -> None:
    """As on a server that an earlier version deployed."""
    server.run("rm -r /var/lib/vestibule/files")
    succeeds(controller.deploy(**ALL))
    assert traces(server, OTHER) == []
    assert same(whole, server.snapshot()) == []
    assert succeeds(controller.deploy("--skip-tags=jitsi_verify", **ALL)).recap["changed"] == 0


def test_features_and_certificates_go_and_come_back(
    server: Server, controller: Controller, whole: Mapping[str, str]
) -> None:
    theirs = "/etc/ssl/private/theirs"
    server.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN={DOMAIN}"
        f" -addext subjectAltName=DNS:{DOMAIN} -keyout {theirs}.key -out {theirs}.crt"
    )
    given = {
        "jitsi_web_certificate": f"{theirs}.crt",
        "jitsi_web_certificate_key": f"{theirs}.key",
        "jitsi_web_certificate_authority": f"{theirs}.crt",
    }
    succeeds(controller.deploy(**FEW, **given))
    assert traces(server, f"gateway.{DOMAIN}") == []
    encoded = DOMAIN.replace(".", "%2e")
    server.run(f"ls /var/lib/prosody/recorder%2e{encoded}/accounts/recorder.dat", ok=(2,))
    server.run("ls /etc/vestibule/web/*.key", ok=(2,))
    succeeds(controller.deploy(**ALL))
    server.run(f"rm {theirs}.crt {theirs}.key")  # which never were ours
    assert same(whole, server.snapshot()) == []
