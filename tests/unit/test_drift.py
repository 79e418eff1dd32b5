"""What a look has found comes to a list of what differs, and nothing is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vestibule.drift import (
    HAND,
    PROOF,
    RUN,
    Difference,
    Seen,
    compare,
    parse_modules,
    report,
    table,
    without,
    write_json,
)

NOW = 1_800_000_000.0
DAY = 86400
CERTIFICATE = {"problem": "", "ends": NOW + 400 * DAY, "shown": True}
FACTS: dict[str, Any] = {
    "packages": {"prosody": "13.0.1-1", "nginx": "1.26-1"},
    "sources": {"jitsi": {"url": "x"}},
    "held": {"prosody": True},
    "services": ["nginx", "prosody", "jitsi-videobridge2"],
    "alive": ["nginx", "prosody", "jitsi-videobridge2"],
    "at_boot": ["nginx", "prosody", "jitsi-videobridge2"],
    "masked": [],
    "outdated": {"jicofo": []},
    "unit_files": {},
    "drop_ins": {},
    "listeners": [{"port": port} for port in (80, 443, 5222, 8080)],
    "in_the_way": {"nginx": {"taken": [], "missing": {}}},
    "certificates": {"/c.crt": CERTIFICATE},
    "installation_cut_off": False,
    "former_kept": False,
}
CLEAN = Seen(
    facts=FACTS,
    differences=[],
    packages=["prosody", "nginx"],
    versions={"prosody": "13.0.1-1"},
    proven={"prosody": "13.0.1-1", "nginx": "1.26-1"},
    listens=[
        {"unit": "nginx", "ports": [80, 443]},
        {"unit": "prosody", "ports": [5222]},
        {"unit": "jitsi-videobridge*", "ports": [8080]},
    ],
    keys=[{"kid": "app", "not_after": None}],
    modules={"conference.x": ["muc", "token_verification"]},
    loaded=["conference.x:", "    muc", "    token_verification"],
    carried=[],
    refusals=[],
    pending={"prosody": False},
)


def facts(**changes: Any) -> Seen:
    return replace(CLEAN, facts={**FACTS, **changes})


def test_where_nothing_differs_nothing_is_said() -> None:
    assert compare(CLEAN, NOW) == []


@pytest.mark.parametrize(
    ("seen", "kind", "subject", "what", "mended_by"),
    [
        (facts(packages={"nginx": "1.26-1"}), "package", "prosody", "not installed", RUN),
        (
            facts(packages={**FACTS["packages"], "prosody": "14"}),
            "package",
            "prosody",
            "version 14, not 13.0.1-1",
            RUN,
        ),
        (
            facts(packages={**FACTS["packages"], "nginx": "2"}),
            "package",
            "nginx",
            "version 2, and 1.26-1 was proven",
            PROOF,
        ),
        (
            facts(sources={"jitsi": {}}),
            "package",
            "repository jitsi",
            "its files were changed",
            RUN,
        ),
        (facts(held={}), "hold", "prosody", "not held at its version", RUN),
        (
            facts(held={"prosody": True, "jicofo": True}),
            "hold",
            "jicofo",
            "held, and no version is asked for any more",
            RUN,
        ),
        (
            facts(held={"prosody": True, "nginx": False}),
            "hold",
            "nginx",
            "held by somebody else",
            HAND,
        ),
        (
            facts(
                services=["prosody", "jitsi-videobridge2"],
                listeners=[{"port": 5222}, {"port": 8080}],
            ),
            "service",
            "nginx",
            "does not run, or listens nowhere",
            RUN,
        ),
        (
            facts(services=["nginx", "prosody"], at_boot=["nginx", "prosody"]),
            "service",
            "jitsi-videobridge2",
            "does not start at boot",
            RUN,
        ),
        (
            facts(services=["nginx", "prosody"], masked=["jitsi-videobridge2"]),
            "service",
            "jitsi-videobridge2",
            "masked",
            HAND,
        ),
        (
            facts(drop_ins={"nginx": ["/x.conf"]}),
            "unit",
            "/x.conf",
            "changes nginx, and is not Vestibule's",
            HAND,
        ),
        (
            facts(
                in_the_way={"nginx": {"taken": [{"port": 80, "address": "::", "process": "caddy"}]}}
            ),
            "listener",
            "port 80 of ::",
            "caddy listens there",
            HAND,
        ),
        (
            facts(listeners=[{"port": 80}, {"port": 5222}, {"port": 8080}]),
            "listener",
            "port 443",
            "nginx runs and does not listen there",
            HAND,
        ),
        (
            replace(CLEAN, loaded=CLEAN.loaded[:2]),
            "module",
            "token_verification",
            "not loaded on conference.x; restart Prosody",
            HAND,
        ),
        (
            replace(CLEAN, loaded=["other:", "  muc"]),
            "module",
            "conference.x",
            "Prosody does not serve this host",
            HAND,
        ),
        (
            facts(certificates={"/c.crt": {**CERTIFICATE, "ends": NOW + 29 * DAY}}),
            "certificate",
            "/c.crt",
            "ends on 2027-02-13",
            HAND,
        ),
        (
            facts(certificates={"/c.crt": {**CERTIFICATE, "problem": "It is broken."}}),
            "certificate",
            "/c.crt",
            "It is broken.",
            HAND,
        ),
        (
            facts(certificates={"/c.crt": {**CERTIFICATE, "shown": False}}),
            "certificate",
            "/c.crt",
            "the program that runs shows another one",
            RUN,
        ),
        (
            replace(CLEAN, keys=[{"kid": "old", "not_after": NOW - 1}]),
            "token key",
            "old",
            "has ended on 2027-01-15",
            HAND,
        ),
        (
            replace(CLEAN, keys=[{"kid": "old", "not_after": NOW + 29 * DAY}]),
            "token key",
            "old",
            "ends on 2027-02-13",
            HAND,
        ),
        (
            replace(CLEAN, carried=["token_secret"]),
            "secret",
            "token_secret",
            "the host has another one than the inventory",
            HAND,
        ),
        (
            facts(former_kept=True),
            "run",
            "files",
            "a run was cut off before it knew that they are good",
            RUN,
        ),
        (
            facts(installation_cut_off=True),
            "run",
            "packages",
            "a run was cut off while it installed them",
            RUN,
        ),
        (replace(CLEAN, refusals=["No."]), "refusal", "site.yml", "No.", HAND),
        (
            replace(CLEAN, pending={"prosody": False, "coturn": True}),
            "role",
            "coturn",
            "has something to do that has no other name",
            RUN,
        ),
    ],
)
def test_each_kind_is_said(seen: Seen, kind: str, subject: str, what: str, mended_by: str) -> None:
    assert compare(seen, NOW) == [Difference(kind, subject, what, mended_by)]


@pytest.mark.parametrize(
    ("module", "subject", "what", "kind", "mended_by"),
    [
        ("config_files", "/x", "missing", "file", RUN),
        ("host_history", "/x", "theirs", "file", HAND),
        ("prosody_health", "prosody", "the unit prosody is inactive", "service", RUN),
        ("prosody_health", "prosody", "modulemanager error x", "service", HAND),
        ("prosody_health", "/x.lua", "newer than the start of Prosody", "service", RUN),
    ],
)
def test_wishes_say_what_differs_themselves(
    module: str, subject: str, what: str, kind: str, mended_by: str
) -> None:
    said = {"wish": "a_wish", "module": module, "subject": subject, "what": what}
    found = compare(replace(CLEAN, differences=[said]), NOW)
    assert found == [Difference(kind, subject, what, mended_by, "a_wish")]


def test_a_certificate_that_a_wish_renews_is_told_once() -> None:
    said = {"wish": "w", "module": "self_signed", "subject": "/c.crt", "what": "ends soon"}
    soon = {"/c.crt": {**CERTIFICATE, "ends": NOW + DAY}}
    found = compare(replace(facts(certificates=soon), differences=[said]), NOW)
    assert [each.what for each in found] == ["ends soon"]


def test_what_a_role_has_to_do_is_said_unless_something_else_says_it() -> None:
    pending = replace(CLEAN, pending={"coturn": True, "prosody": False})
    said = {"module": "config_files", "subject": "/x", "what": "missing"}
    for wish, roles in (("coturn_files", []), ("prosody_files", ["coturn"])):
        found = compare(replace(pending, differences=[{"wish": wish, **said}]), NOW)
        assert [each.subject for each in found if each.kind == "role"] == roles
    gone = {**FACTS, "packages": {"nginx": "1.26-1"}}
    assert [each.kind for each in compare(replace(pending, facts=gone), NOW)] == ["package"]


def test_modules_are_read_of_either_prosody() -> None:
    old = ["| x.example.org:", "|     muc", "y.example.org:"]
    assert parse_modules(old) == {"x.example.org": {"muc"}, "y.example.org": set()}
    new = ["Banner about", "more:", "", "x.example.org:", "    muc", "    ping"]
    assert parse_modules(new)["x.example.org"] == {"muc", "ping"}


def test_what_somebody_accepted_is_not_said() -> None:
    one, other = Difference("unit", "/a/x.conf", "x"), Difference("unit", "/b", "x")
    assert without([one, other], ["/a/*"]) == [other]


def test_people_read_a_line_each_and_machines_a_file(tmp_path: Path) -> None:
    found = [Difference("file", "/etc/x", "missing"), Difference("hold", "nginx", "not held", HAND)]
    assert table(found) == [
        "file  /etc/x  missing (the next run)",
        "hold  nginx   not held (by hand)",
    ]
    write_json(tmp_path / "new/x.json", "meet", found)
    report = json.loads((tmp_path / "new/x.json").read_text(encoding="utf-8"))
    assert (report["host"], report["looked"]) == ("meet", True)
    assert report["differences"][1]["mended_by"] == "by hand"
    write_json(tmp_path / "new/x.json", "meet", None)
    report = json.loads((tmp_path / "new/x.json").read_text(encoding="utf-8"))
    assert report == {"host": "meet", "looked": False, "differences": []}


@pytest.mark.parametrize(
    ("unlooked", "facts_there", "said", "shown"),
    [
        ("No secrets.", FACTS, {"unreachable": True, "msg": "Could not look: No secrets."}, []),
        ("", FACTS, {"changed": False, "msg": "Nothing differs on meet."}, []),
        (
            "",
            {**FACTS, "held": {}},
            None,
            ["  meet: hold  prosody  not held at its version (the next run)"],
        ),
    ],
)
def test_drift_fails_and_a_host_without_a_look_is_unreachable(
    tmp_path: Path,
    unlooked: str,
    facts_there: dict[str, Any],
    said: dict[str, Any] | None,
    shown: list[str],
) -> None:
    path = tmp_path / "meet.json"
    failed = {"failed": True, "msg": f"1 thing differs on meet. All of it: {path}"}
    seen = {**vars(CLEAN), "facts": {**facts_there, "epoch": NOW}}
    lines: list[str] = []
    arguments = {"report": str(path), "unlooked": unlooked, "seen": seen, "accepted": []}
    assert report(arguments, "meet", lines.append) == (said or failed)
    assert lines == shown
    assert json.loads(path.read_text(encoding="utf-8"))["looked"] is (unlooked == "")


def test_a_service_that_runs_a_former_state_is_told() -> None:
    [found] = compare(facts(outdated={"nginx": ["its unit"], "jicofo": []}), NOW)
    assert (found.kind, found.subject) == ("program", "nginx")
    assert found.what == "runs what was there before its unit"
