"""Versions asked for: which of them the repositories are asked for before anything changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader
from ansible.template import Templar

ROOT = Path(__file__).parents[2]
THERE = {"prosody": "13.0.1-1", "nginx": "1.26.3-3", "jicofo": "1.0-1"}


def of_role(name: str, versions: dict[str, str], **more: Any) -> Any:
    """A variable of the role, on a host with Prosody, nginx and Jicofo, of another repository."""
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    loader = DataLoader()
    path = str(ROOT / "roles/jitsi_lock/vars/main.yml")
    variables: dict[str, Any] = {
        **loader.load_from_file(path, trusted_as_template=True),
        "ansible_facts": {"vestibule": {"packages": THERE, "held": more.pop("held", {})}},
        "jitsi_lock_packages": [*THERE],
        "jitsi_lock_foreign": ["jicofo"],
        "jitsi_lock_versions": versions,
        **more,
    }
    return Templar(loader=loader, variables=variables).template(variables[f"__jitsi_lock_{name}"])


@pytest.mark.parametrize(
    ("versions", "held", "checked"),
    [
        pytest.param({"prosody": "13.0.2-1", "nginx": "1.26.3-3"}, {}, ["prosody"], id="another"),
        pytest.param({"jicofo": "1.0-2"}, {}, [], id="of another repository"),
        pytest.param({"jicofo": "1.0-2"}, {"jicofo": True}, [], id="the same, held by us"),
        pytest.param({"jicofo": "1.0-2"}, {"jicofo": False}, ["jicofo"], id="held by others"),
        pytest.param({"jicofo": "1.0-1"}, {"jicofo": False}, [], id="there, held by others"),
        pytest.param({}, {"jicofo": False}, [], id="none asked for"),
    ],
)
def test_a_version_that_is_not_there_is_checked(
    versions: dict[str, str], held: dict[str, bool], checked: list[str]
) -> None:
    assert of_role("checked", versions, held=held) == checked


@pytest.mark.parametrize(
    ("versions", "packages", "doubtful"),
    [
        pytest.param({"prosody": "13.0.1-1"}, [*THERE], False, id="as asked for"),
        pytest.param({"prosody": "13.0.2-1"}, [*THERE], True, id="another version"),
        pytest.param({}, [*THERE, "openssl"], True, id="a package that was not there"),
    ],
)
def test_the_host_is_asked_again_after_something_was_installed(
    versions: dict[str, str], packages: list[str], *, doubtful: bool
) -> None:
    assert of_role("doubtful", versions, jitsi_lock_packages=packages) is doubtful
