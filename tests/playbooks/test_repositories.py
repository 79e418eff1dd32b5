"""The sources that roles add: when one is checked, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).parents[2]
FETCHED = "the key behind the address"
ON_HOST = "the key on the host"


def trust(value: Any) -> Any:
    """Everything in it as templates that may be rendered."""
    if isinstance(value, dict):
        return {name: trust(each) for name, each in value.items()}
    if isinstance(value, list):
        return [trust(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Role:
    """Variables of a role for a host that has a source, and lacks some packages."""

    def __init__(self, role: str, there: dict[str, Any], missing: list[str], **more: Any) -> None:
        filter_loader.add_directory(str(ROOT / "filter_plugins"))
        variables: dict[str, Any] = {}
        for name in ("defaults/main.yml", "vars/main.yml", "vars/Debian.yml"):
            text = (ROOT / "roles" / role / name).read_text(encoding="utf-8")
            variables.update(trust(yaml.safe_load(text)))
        sources = {there["name"]: there} if there else {}
        variables["ansible_facts"] = {
            "distribution_release": "jammy",
            "vestibule": {"sources": sources, "packages": {}},
        }
        variables[f"__{role}_missing"] = missing
        # What the lookup of an address would fetch, which no test does
        variables[f"__{role}_key"] = FETCHED
        variables.update(more)
        self._role, self._variables = role, variables

    def __call__(self, name: str) -> Any:
        loader = DataLoader()
        loader.set_basedir(str(ROOT / "playbooks"))  # where lookups look for files
        templar = Templar(loader=loader, variables=self._variables)
        return templar.template(self._variables[f"__{self._role}_{name}"])


def upstream(there: dict[str, Any], missing: list[str], **more: Any) -> Role:
    return Role("prosody", there, missing, prosody_repository="upstream", **more)


def jitsi(there: dict[str, Any], missing: list[str], **more: Any) -> Role:
    return Role("jitsi_tokens", there, missing, **more)


def named(role: Any, **more: Any) -> dict[str, Any]:
    """What host_probe tells of the source once the role has added it with the key on the host."""
    source: dict[str, Any] = role({}, [], **more)("source")
    return {**source, "key": ON_HOST}


ROLES = pytest.mark.parametrize("role", [upstream, jitsi])


@ROLES
def test_a_source_that_is_there_is_not_checked_again(role: Any) -> None:
    there = named(role)
    assert there["packages"]
    again = role(there, [])
    assert again("to_check") is False
    assert again("source") == there


@ROLES
def test_a_source_that_is_not_whole_is_checked_though_nothing_is_missing(role: Any) -> None:
    assert role({}, [])("to_check") is True


@ROLES
@pytest.mark.parametrize("field", ["url", "suite", "fingerprint", "packages", "priority"])
def test_a_source_that_differs_is_checked_though_nothing_is_missing(role: Any, field: str) -> None:
    assert role({**named(role), field: "other"}, [])("to_check") is True


@ROLES
def test_a_source_to_install_from_is_checked(role: Any) -> None:
    assert role(named(role), ["jicofo"])("to_check") is True


@ROLES
def test_the_key_that_was_checked_is_the_one_that_is_written(role: Any) -> None:
    checked = {"key": "the key that was checked"}
    more = {"__prosody_checked": checked, "__jitsi_tokens_checked": checked}
    assert role(named(role), [], **more)("source")["key"] == checked["key"]


@ROLES
def test_another_key_in_a_file_of_the_controller_is_checked(role: Any) -> None:
    more = {"prosody_repository_key": "prosody.asc", "jitsi_tokens_repository_key": "jitsi.asc"}
    assert role(named(role), [], **more)("to_check") is True
    assert role({**named(role), "key": FETCHED}, [], **more)("to_check") is False


@pytest.mark.parametrize(
    ("role", "variable"),
    [("prosody", "prosody_repository_key"), ("jitsi_tokens", "jitsi_tokens_repository_key")],
)
def test_a_file_with_the_key_is_looked_for_from_the_working_directory(
    role: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not AnsibleCollectionConfig.collection_finder:  # which is made once a process
        init_plugin_loader()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/ours.asc").write_text("the key in a file", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "roles" / role / "vars/main.yml").read_text(encoding="utf-8")
    key = {f"__{role}_key": trust(yaml.safe_load(text)[f"__{role}_key"])}
    found = Role(role, {}, [], **key, **{variable: "files/ours.asc"})
    assert found("key") == "the key in a file"


@ROLES
def test_a_fingerprint_with_spaces_is_the_same(role: Any) -> None:
    more = dict.fromkeys(
        ("prosody_repository_fingerprint", "jitsi_tokens_repository_fingerprint"), "01 23 ab"
    )
    there = named(role, **more)
    assert there["fingerprint"] == "0123AB"
    assert role(there, [], **more)("to_check") is False
