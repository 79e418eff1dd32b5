"""Filter ``apt_source``: the files that name a repository to apt and bound what it may replace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: apt_source
short_description: The files that name a repository to apt, as the module config_files takes them
description:
  - Three files, a source in the form deb822 (sources.list(5)) that is signed by one key, that key,
    and pins (apt_preferences(5)) that let it bring the packages it is named for and nothing else.
options:
  _input:
    description:
      - The repository, with C(name) (behind C(vestibule-) in the names of the files), C(role) (for
        the comment), C(fingerprint) of the key (for a comment, so that another one is noticed),
        C(url), C(suite) (with a slash at the end for a flat repository, otherwise
        its component is C(main)), C(packages) (patterns of names) and C(priority).
    type: dict
    required: true
  key:
    description: The key, ASCII-armoured.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Name Jitsi's repository
  config_files:
    directories: [{path: /etc/apt/keyrings}]
    files: "{{ repository | apt_source(key=lookup('ansible.builtin.file', 'jitsi.asc')) }}"
  vars:
    repository:
      name: jitsi
      role: jitsi_tokens
      url: https://download.jitsi.org
      suite: stable/
      fingerprint: 66A9 CD05 95D6 AFA2 4729 0D3B EF8B 479E 2DC1 389C
      packages: jitsi-* jicofo
      priority: 500
"""

RETURN = r"""
_value:
  description: Files for the module config_files.
  type: list
  elements: dict
"""

_WORD = re.compile(r"[!-~]+")
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")


def apt_source(repository: Mapping[str, Any], key: str) -> list[dict[str, str]]:
    """The files. Raises AnsibleFilterError where a value would not be one line of a file."""
    for field, form in (("url", _WORD), ("suite", _WORD), ("packages", _WORDS)):
        if not form.fullmatch(str(repository[field])):
            raise AnsibleFilterError(
                f"apt_source: {field} of the repository {repository['name']} is empty, or has"
                " spaces or line breaks. Correct the address and the suite of that repository."
            )
    name, suite = repository["name"], repository["suite"]
    fingerprint = "".join(str(repository["fingerprint"]).split()).upper()
    head = f"# Made by Vestibule, role {repository['role']}. Changes made here are overwritten.\n"
    keyring = f"/etc/apt/keyrings/vestibule-{name}.asc"
    origin = urlsplit(repository["url"]).hostname
    return [
        {
            "path": f"/etc/apt/sources.list.d/vestibule-{name}.sources",
            "content": f"{head}# Signed by the key {fingerprint}.\n"
            + f"Types: deb\nURIs: {repository['url']}\nSuites: {suite}\n"
            + ("" if suite.endswith("/") else "Components: main\n")
            + f"Signed-By: {keyring}\n",
            "mode": "0644",
        },
        {
            "path": f"/etc/apt/preferences.d/vestibule-{name}",
            "content": f"{head}# It brings these packages and replaces nothing else.\n"
            + _pin("*", origin, -1)
            + "\n"
            + _pin(repository["packages"], origin, repository["priority"]),
            "mode": "0644",
        },
        {"path": keyring, "content": key, "mode": "0644"},
    ]


def _pin(packages: str, origin: str | None, priority: int) -> str:
    return f'Package: {packages}\nPin: origin "{origin}"\nPin-Priority: {priority}\n'


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filter by its name."""
        return {"apt_source": apt_source}
