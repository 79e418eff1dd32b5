"""The files that name repositories to apt: when one is tried, what is written, what goes again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar, trust_as_template

from apt_source import apt_source

ROOT = Path(__file__).parents[2]
KEYS = {
    "prosody": "/etc/apt/keyrings/vestibule-prosody.asc",
    "jitsi_tokens": "/etc/apt/keyrings/vestibule-jitsi.asc",
}
SOURCES = "/etc/apt/sources.list.d/vestibule-prosody.sources"
FETCHED = "the key behind the address"


def trust(value: Any) -> Any:
    """Everything in it as templates that may be rendered."""
    if isinstance(value, dict):
        return {name: trust(each) for name, each in value.items()}
    if isinstance(value, list):
        return [trust(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Role:
    """Variables of a role for a host that has some files of apt, and lacks some packages."""

    def __init__(self, role: str, there: dict[str, str], missing: list[str], **more: Any) -> None:
        filter_loader.add_directory(str(ROOT / "filter_plugins"))
        variables: dict[str, Any] = {}
        for name in ("defaults/main.yml", "vars/main.yml", "vars/Debian.yml"):
            text = (ROOT / "roles" / role / name).read_text(encoding="utf-8")
            variables.update(trust(yaml.safe_load(text)))
        variables["ansible_facts"] = {
            "distribution_release": "jammy",
            "vestibule": {"apt_files": there, "packages": {}},
        }
        variables[f"__{role}_missing"] = missing
        # What the lookup of an address would fetch, which no test does
        variables[f"__{role}_key"] = FETCHED
        variables.update(more)
        self._role, self._variables = role, variables

    def __call__(self, name: str) -> Any:
        templar = Templar(loader=DataLoader(), variables=self._variables)
        return templar.template(self._variables[f"__{self._role}_{name}"])

    def named(self, key: str) -> dict[str, str]:
        """Contents by path of files that name the repository, with this key."""
        repository = self("repository" if self._role == "prosody" else "apt")
        return {file["path"]: file["content"] for file in apt_source(repository, key)}


def upstream(there: dict[str, str], missing: list[str], **more: Any) -> Role:
    return Role("prosody", there, missing, prosody_repository="upstream", **more)


def jitsi(there: dict[str, str], missing: list[str], **more: Any) -> Role:
    return Role("jitsi_tokens", there, missing, **more)


ROLES = pytest.mark.parametrize("role", [upstream, jitsi])


@ROLES
def test_a_repository_that_is_named_is_not_tried_again(role: Any) -> None:
    there = role({}, []).named("the key on the host")
    again = role(there, [])
    assert again("to_try") is False
    written = {file["path"]: file["content"] for file in again("repository_files")}
    assert written == there


@ROLES
def test_a_repository_that_lacks_its_key_is_tried_though_nothing_is_missing(role: Any) -> None:
    there = role({}, []).named("the key on the host")
    for path in KEYS.values():
        there.pop(path, None)
    assert len(there) == 2
    assert role(there, [])("to_try") is True
    assert role({**there, **dict.fromkeys(KEYS.values(), "")}, [])("to_try") is True
    assert role({}, [])("to_try") is True


@ROLES
def test_a_repository_of_another_address_is_tried_though_nothing_is_missing(role: Any) -> None:
    there = role({}, []).named("the key on the host")
    there = {path: text.replace("https://", "https://old.") for path, text in there.items()}
    assert role(there, [])("to_try") is True


@ROLES
def test_a_repository_to_install_from_is_tried(role: Any) -> None:
    there = role({}, []).named("the key on the host")
    assert role(there, ["jicofo"])("to_try") is True


@ROLES
def test_the_key_that_was_tried_is_the_one_that_is_written(role: Any) -> None:
    tried = {"key": "the key that was tried"}
    more = {"__prosody_tried": tried, "__jitsi_tokens_tried": tried}
    written = role({}, [], **more)("repository_files")
    assert [file["content"] for file in written if file["path"] in KEYS.values()] == [tried["key"]]


@ROLES
def test_another_key_in_a_file_of_the_controller_is_tried(role: Any) -> None:
    more = {"prosody_repository_key": "prosody.asc", "jitsi_tokens_repository_key": "jitsi.asc"}
    there = role({}, [], **more).named("the key on the host")
    assert role(there, [], **more)("to_try") is True
    assert role(role({}, []).named(FETCHED), [], **more)("to_try") is False


def test_going_back_to_the_distribution_removes_what_was_written_and_nothing_else() -> None:
    there = upstream({}, []).named("the key on the host")
    others = {
        "/etc/apt/keyrings/vestibule-jitsi.asc": "",
        "/etc/apt/preferences.d/vestibule-prosody-of-other-hands": "",
    }
    back = Role("prosody", {**there, **others}, [])
    assert sorted(back("repository_files"), key=str) == sorted(
        ({"path": path, "state": "absent"} for path in there), key=str
    )
    assert Role("prosody", others, [])("repository_files") == []


def test_what_the_forgotten_repository_offers_does_not_count() -> None:
    there = {SOURCES: "# Made\nTypes: deb\nURIs: https://packages.example.org/debian/\nSuites: x\n"}
    offers = [
        "   prosody | 13.0.1-1~jammy1 | https://packages.example.org/debian jammy/main amd64",
        "   prosody | 0.11.13-1 | http://archive.example.org/ubuntu jammy/universe amd64 Packages",
    ]
    role = Role("prosody", there, [], __prosody_offers={"stdout_lines": offers})
    assert role("forgotten_address") == "https://packages.example.org/debian"
    assert role("still_offered") == ["0.11.13-1"]
    gone = Role("prosody", {}, [], __prosody_offers={"stdout_lines": offers})
    assert gone("still_offered") == ["13.0.1-1~jammy1", "0.11.13-1"]
