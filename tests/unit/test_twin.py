"""scripts/bench's shell twin: what is read from a server, and what is made of it."""

from dataclasses import replace

import pytest
from lib import twin

HISTORY = """
Start-Date: 2026-11-29  09:12:50
Commandline: apt-get install --yes -oDpkg::Options::=--force-confold prosody nginx
Install: prosody:amd64 (13.0.1), lua5.4:amd64 (5.4.7, automatic), nginx:amd64 (1.26)
End-Date: 2026-11-29  09:12:59

Start-Date: 2026-11-29  09:13:08
Commandline: apt-get install --yes jicofo
Install: jicofo:amd64 (1.0.1)
End-Date: 2026-11-29  09:13:14
"""

SEEN_BEFORE = """
Name: tzdata/Areas
Template: tzdata/Areas
Value: Etc
Owners: tzdata
Flags: seen
"""
ANSWERED = """
Name: jitsi/hostname
Template: jitsi/hostname
Value: meet.example.org
Owners: jicofo, jitsi-videobridge
Flags: seen
"""
SET_BY_A_SCRIPT = """
Name: jitsi/turn-secret
Template: jitsi/turn-secret
Value: of the script
Owners: jicofo
"""
TEMPLATES = """
Name: jitsi/hostname
Type: string
Description: the domain

Name: jitsi/turn-secret
Type: password
"""

UNITS = """
Id=web.service
UnitFileState=enabled
ActiveEnterTimestampMonotonic=300

Id=signalling.service
UnitFileState=generated
ActiveEnterTimestampMonotonic=100

Id=dbus.service
UnitFileState=static
ActiveEnterTimestampMonotonic=200

Id=never.service
UnitFileState=enabled
ActiveEnterTimestampMonotonic=0

Id=ssh.service
UnitFileState=enabled
ActiveEnterTimestampMonotonic=50
"""

INSTALLED = twin.Installed(
    answers="jicofo jitsi/hostname string it's\n",
    commands=["apt-get install one", "apt-get install two"],
    sources=["/etc/apt/sources.list.d/jitsi.sources"],
    files=[[], ["/etc/jitsi/jicofo.conf"], ["/usr/local/share/ca-certificates/auth.crt"]],
    removed=["/etc/nginx/sites-enabled/default"],
    units=["prosody.service", "nginx.service"],
    ports=["127.0.0.1:8888", "192.0.2.1:5349"],
    address="192.0.2.1",
)


def test_transactions_are_the_command_lines_of_apt_in_their_order() -> None:
    assert twin.commands(HISTORY) == [
        "apt-get install --yes -oDpkg::Options::=--force-confold prosody nginx",
        "apt-get install --yes jicofo",
    ]


def test_answers_are_what_somebody_told_debconf_since() -> None:
    after = "\n\n".join([SEEN_BEFORE.strip(), ANSWERED.strip(), SET_BY_A_SCRIPT.strip()])
    assert (
        twin.answers(SEEN_BEFORE, after, TEMPLATES)
        == "jitsi-videobridge jitsi/hostname string meet.example.org\n"
    )


@pytest.mark.parametrize(
    ("birth", "stage"),
    [
        pytest.param(99.9, None, id="before the mark"),
        pytest.param(100.5, 0, id="before the first transaction"),
        pytest.param(110.5, None, id="made by the first one's packages"),
        pytest.param(120.5, 1, id="between them"),
        pytest.param(130.5, None, id="made by the second one's packages"),
        pytest.param(140.5, 2, id="after the last"),
    ],
)
def test_a_file_belongs_where_its_birth_says(birth: float, stage: int | None) -> None:
    found = twin.stages(f"{birth} /etc/a file\n", 100, [110, 120, 130, 140])
    assert found == [["/etc/a file"] if number == stage else [] for number in range(3)]


def test_what_the_update_of_trust_makes_is_no_file_of_ours() -> None:
    assert twin.stages("105.0 /etc/ssl/certs/auth.pem\n", 100, []) == [[]]


def test_what_was_there_after_a_transaction_and_is_no_longer_was_removed() -> None:
    before = "/etc/nginx/default\n/etc/hosts\n/etc/hosts\n/etc/ssl/certs/old.pem\n"
    assert twin.removed(before, "/etc/hosts\n/etc/nginx/ours\n") == ["/etc/nginx/default"]


def test_units_stand_in_the_order_in_which_they_became_active() -> None:
    before = "ssh.service loaded active running OpenBSD Secure Shell server\n"
    assert twin.units(before, UNITS) == ["signalling.service", "web.service"]


def test_ports_are_those_that_listen() -> None:
    text = "LISTEN 0      5      127.0.0.1:8888 0.0.0.0:*\nLISTEN 0 511 [::]:443 [::]:*\n"
    assert twin.ports(text) == {"127.0.0.1:8888", "[::]:443"}


def test_a_survey_divides_what_the_server_tells() -> None:
    told = {
        "cat /root/twin/moments": "110.0\n120.0\n130.0\n140.0\n",
        "cat /root/twin/began": "100.0\n",
        "cat /root/twin/answers": SEEN_BEFORE,
        "cat /var/cache/debconf/config.dat": ANSWERED,
        "cat /var/cache/debconf/templates.dat": TEMPLATES,
        "cat /root/twin/units": "ssh.service loaded active running\n",
        "cat /root/twin/ports": "LISTEN 0 5 0.0.0.0:22 0.0.0.0:*\n",
        "ss -Hltn": "LISTEN 0 5 0.0.0.0:22 0.0.0.0:*\nLISTEN 0 5 0.0.0.0:80 0.0.0.0:*\n",
        twin.HISTORY: HISTORY,
        twin.FILES: "125.0 /etc/jitsi/jicofo.conf\n125.1 /etc/apt/preferences.d/jitsi\n",
        twin.UNITS: UNITS,
        twin.ADDRESS: "192.0.2.1 2001:db8::1 \n",
        "cat /root/twin/names": "/etc/hosts\n/etc/nginx/default\n",
        twin.NAMES: "/etc/hosts\n/etc/nginx/ours\n",
    }
    installed = twin.survey(told.__getitem__)
    assert installed.sources == ["/etc/apt/preferences.d/jitsi"]
    assert installed.files == [[], ["/etc/jitsi/jicofo.conf"], []]
    assert installed.removed == ["/etc/nginx/default"]
    assert installed.ports == ["0.0.0.0:80"]
    with pytest.raises(ValueError, match="2 transactions of apt, but 2 moments"):
        twin.survey({**told, "cat /root/twin/moments": "110.0\n120.0\n"}.__getitem__)


def test_the_script_puts_each_step_where_it_was() -> None:
    lines = twin.script(INSTALLED, "192.0.2.2").removeprefix(twin.HEAD).splitlines()
    steps = [line.removesuffix(" > /dev/null") for line in lines]
    assert steps == [
        "unpack apt",
        "apt-get update -qq",
        "debconf-set-selections <<< 'jicofo jitsi/hostname string it'\"'\"'s",
        "'",
        "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d",
        "chmod +x /usr/sbin/policy-rc.d",
        "apt-get install one",
        "unpack 1",
        "apt-get install two",
        "unpack 2",
        "rm -f /etc/nginx/sites-enabled/default",
        "grep -rlFw 192.0.2.1 /etc | xargs --no-run-if-empty"
        " sed -i 's/192\\.0\\.2\\.1/192.0.2.2/g'",
        "rm /usr/sbin/policy-rc.d",
        "update-ca-certificates > /dev/null 2>&1",
        "systemctl daemon-reload",
        "systemctl reset-failed",
        "systemctl restart prosody.service",
        "systemctl restart nginx.service",
        "until ss -Hltn | grep -qF ' 127.0.0.1:8888 '; do sleep 0.1; done",
        "until ss -Hltn | grep -qF ' 192.0.2.2:5349 '; do sleep 0.1; done",
    ]


def test_the_script_updates_no_trust_that_did_not_change() -> None:
    without = replace(INSTALLED, files=[[], [], []])
    assert "update-ca-certificates" not in twin.script(without, "192.0.2.2")
    assert list(without.archives()) == ["apt"]
