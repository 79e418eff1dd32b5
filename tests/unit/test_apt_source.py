"""Filter ``apt_source``: what apt reads of a repository, and what it may not bring."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.apt_source import apt_source

PROSODY = {
    "name": "prosody",
    "role": "prosody",
    "url": "https://packages.example.org/debian",
    "suite": "jammy",
    "fingerprint": "0123 4567 89ab",
    "packages": "prosody prosody-*",
    "priority": 990,
}


def contents(**changed: Any) -> dict[str, str]:
    files = apt_source({**PROSODY, **changed}, key="the key")
    assert {file["mode"] for file in files} == {"0644"}
    return {file["path"]: file["content"] for file in files}


def test_source_is_signed_by_its_own_key() -> None:
    files = contents()
    assert files["/etc/apt/keyrings/vestibule-prosody.asc"] == "the key"
    assert files["/etc/apt/sources.list.d/vestibule-prosody.sources"].splitlines()[1:] == [
        "# Signed by the key 0123456789AB.",
        "Types: deb",
        "URIs: https://packages.example.org/debian",
        "Suites: jammy",
        "Components: main",
        "Signed-By: /etc/apt/keyrings/vestibule-prosody.asc",
    ]


def test_flat_repository_has_no_components() -> None:
    source = contents(suite="stable/")["/etc/apt/sources.list.d/vestibule-prosody.sources"]
    assert "Suites: stable/\nSigned-By: " in source


def test_everything_but_its_packages_is_refused() -> None:
    general, special = (
        contents(url="https://packages.example.org:8443/debian")[
            "/etc/apt/preferences.d/vestibule-prosody"
        ]
        .split("else.\n")[1]
        .split("\n\n")
    )
    assert general.splitlines() == [
        "Package: *",
        'Pin: origin "packages.example.org"',
        "Pin-Priority: -1",
    ]
    assert special.splitlines() == [
        "Package: prosody prosody-*",
        'Pin: origin "packages.example.org"',
        "Pin-Priority: 990",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "https://x.example.org/ y"), ("suite", "jammy\nTrusted: yes"), ("suite", "")],
)
def test_value_that_is_no_line_is_refused(field: str, value: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"{field} of the repository prosody"):
        apt_source({**PROSODY, field: value}, key="the key")
