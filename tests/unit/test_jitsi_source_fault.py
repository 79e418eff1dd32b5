"""The filter jitsi_source_fault: what is wrong with where Jitsi's packages come from on Arch."""

from __future__ import annotations

import pytest

from filter_plugins.jitsi_source_fault import jitsi_source_fault

REPOSITORY = {"name": "jitsi"}
HELPER = {"program": "paru", "user": "builder"}


@pytest.mark.parametrize(
    ("repository", "helper", "words"),
    [
        pytest.param(REPOSITORY, {}, "", id="a repository"),
        pytest.param({}, HELPER, "", id="a helper"),
        pytest.param({}, {}, "a repository that has jicofo, lua-inspect, or", id="neither"),
        pytest.param(REPOSITORY, HELPER, "Set one of two variables, not both", id="both"),
        pytest.param({}, {"program": "paru"}, "a user who is not root", id="no user"),
        pytest.param({}, {**HELPER, "user": ""}, "a user who is not root", id="nameless user"),
        pytest.param({}, {**HELPER, "user": "root"}, "a user who is not root", id="root"),
        pytest.param({}, {"user": "builder"}, "needs a program", id="no program"),
        pytest.param({}, {**HELPER, "program": ""}, "needs a program", id="nameless program"),
    ],
)
def test_packages_come_from_one_place(
    repository: dict[str, str], helper: dict[str, str], words: str
) -> None:
    said = jitsi_source_fault(["jicofo", "lua-inspect"], repository, helper, "meet")
    assert (words in said) if words else said == ""


def test_where_nothing_is_missing_nothing_has_to_be_set() -> None:
    assert jitsi_source_fault([], {}, {}, "meet") == ""


def test_the_host_is_named() -> None:
    assert "is installed on meet and" in jitsi_source_fault(["jicofo"], {}, {}, "meet")
