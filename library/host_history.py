#!/usr/bin/python
"""Ansible module ``host_history``: what an earlier installation left, and a copy of it."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, managers

DOCUMENTATION = r"""
module: host_history
short_description: Find what an earlier installation left, and take it out of the way
description:
  - Looks by rules for files that this project did not make. What it made, and what a package
    delivered and nobody changed, is no finding.
  - With I(adopt), keeps a copy of every finding and removes those that must not stay. Without it,
    nothing changes.
options:
  rules:
    description: What to look for.
    type: list
    elements: dict
    required: true
    suboptions:
      paths:
        description: Paths, with C(*) for anything.
        type: list
        elements: str
        required: true
      contains:
        description: Regular expression that a file has to contain (multi-line), all where empty.
        type: str
        default: ""
      repositories:
        description:
          - Addresses of repositories, of which a file has to have entries, by http or by https. In
            place of I(contains).
        type: list
        elements: str
        default: []
      unowned:
        description: Whether files of packages are no finding, changed or not.
        type: bool
        default: false
      action:
        description: >-
          V(replace) is for what a later task overwrites, V(move) for what has to go, V(cut) for
          sources of apt (sources.list(5)) of which the entries of I(repositories) have to go, and
          V(note) for what only has to be known.
        type: str
        choices: [replace, move, cut, note]
        required: true
      description:
        description: What it is and what becomes of it, for people.
        type: str
        required: true
  made_by:
    description: Text in the files that this project made.
    type: str
    required: true
  adopt:
    description: Whether to keep copies and to remove what must not stay.
    type: bool
    default: false
  backup:
    description: Folder for the copies, which get a folder of the time of the run there.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells what would change.
    support: full
"""

EXAMPLES = r"""
- name: Look for hosts that Prosody would serve beside ours
  host_history:
    rules:
      - paths: [/etc/prosody/conf.d/*.cfg.lua]
        action: move
        description: a host that Prosody would serve beside the managed ones
    made_by: Made by Vestibule
    backup: /var/backups/vestibule
"""

RETURN = r"""
findings:
  description: What was found, each path once.
  type: list
  elements: dict
  returned: always
  sample:
    - path: /etc/prosody/conf.d/old.cfg.lua
      action: move
      description: a host that Prosody would serve beside the managed ones
      repositories: []
      contains: ""
in_the_way:
  description: Words for each finding that has to go or is overwritten.
  type: list
  elements: str
  returned: always
  sample: ["the entries of https://download.jitsi.org in /etc/apt/sources.list"]
backup:
  description: Folder with the copies, null where none was made.
  type: str
  returned: always
"""

_TOLD = ("action", "description", "repositories")
_CONFFILE = re.compile(r"^ (/\S+) ([0-9a-f]{32})( obsolete)?$", re.MULTILINE)
_BACKUP_FILE = re.compile(r"(/\S+)\s+\[(unmodified|modified)\]")


def parse_conffiles(text: str) -> dict[str, str]:
    """MD5 of every configuration file as dpkg delivered it, by path (dpkg-query, C(Conffiles))."""
    return {path: digest for path, digest, _ in _CONFFILE.findall(text)}


def parse_backup_files(text: str) -> set[str]:
    """Configuration files that are as pacman delivered them (``pacman -Qii``)."""
    return {path for path, state in _BACKUP_FILE.findall(text) if state == "unmodified"}


class Packages:
    """What the package manager delivered."""

    def __init__(self, module: AnsibleModule) -> None:
        self._run = module.run_command
        manager = managers.find(module)
        self._dpkg = isinstance(manager, managers.Apt)
        self._pacman = isinstance(manager, managers.Pacman)
        self._conffiles: dict[str, str] | None = None
        self._unmodified: set[str] | None = None

    def own(self, path: str) -> bool:
        """Whether a package has this file."""
        if self._dpkg:
            return bool(self._run(["dpkg-query", "--search", path])[0] == 0)
        return self._pacman and bool(self._run(["pacman", "-Qo", path])[0] == 0)

    def left_as_it_was(self, path: str) -> bool:
        """Whether this is a configuration file of a package that nobody changed."""
        if self._dpkg:
            if self._conffiles is None:
                form = ["--show", "--showformat=${Conffiles}\n"]
                self._conffiles = parse_conffiles(self._run(["dpkg-query", *form])[1])
            target = os.path.realpath(path)
            return self._conffiles.get(target) == _md5(target)
        if self._pacman:
            if self._unmodified is None:
                self._unmodified = parse_backup_files(self._run(["pacman", "-Qii"])[1])
            return path in self._unmodified
        return False


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        # dpkg's own record, no protection against anybody
        return hashlib.md5(file.read()).hexdigest()  # noqa: S324


def entries(path: str, text: str) -> list[str]:
    """Lines of a file of sources, or its stanzas where it has the form deb822 (sources.list(5)).

    Joined, they are the file again.
    """
    if path.endswith(".sources"):
        return re.findall(r"(?:.+\n?)+(?:[ \t]*\n)*|\n+", text)
    return text.splitlines(keepends=True)


def cut(path: str, text: str, pattern: str) -> str:
    """A file of sources without the entries that the pattern fits outside of comments."""

    def fits(entry: str) -> bool:
        lines = (line for line in entry.splitlines() if not line.lstrip().startswith("#"))
        return re.search(pattern, "\n".join(lines), re.MULTILINE) is not None

    return "".join(entry for entry in entries(path, text) if not fits(entry))


def entries_of(repositories: list[str]) -> str:
    """A pattern for entries of these repositories, by http or https."""
    places = (re.sub(r"^[a-z]+://|/+$", "", address) for address in repositories)
    return f"://({'|'.join(map(re.escape, places))})(?![\\w.-])"


def find(rules: list[dict[str, Any]], made_by: str, packages: Packages) -> list[dict[str, Any]]:
    """Findings of all rules, each path for the first rule that fits it."""
    findings: dict[str, dict[str, Any]] = {}
    for rule in rules:
        pattern = entries_of(rule["repositories"]) if rule["repositories"] else rule["contains"]
        for path in sorted(path for pattern in rule["paths"] for path in glob.glob(pattern)):
            if path in findings or not os.path.isfile(path):
                continue
            text = files.read(path)
            if made_by in text or not re.search(pattern, text, re.MULTILINE):
                continue
            if rule["action"] == "cut" and cut(path, text, pattern) == text:
                continue  # in a comment
            if packages.left_as_it_was(path) or (rule["unowned"] and packages.own(path)):
                continue
            told = {key: rule[key] for key in _TOLD}
            findings[path] = {"path": path, **told, "contains": pattern}
    return list(findings.values())


def words_for(finding: dict[str, Any]) -> str:
    """What is in the way. The rest of a file of sources stays."""
    if finding["action"] != "cut":
        return str(finding["path"])
    return f"the entries of {' and '.join(finding['repositories'])} in {finding['path']}"


def keep(paths: list[str], backup: str) -> str:
    """Copy files with owner and mode to a new folder below ``backup``, and return the folder."""
    folder = os.path.join(backup, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
    os.makedirs(backup, mode=0o700, exist_ok=True)
    os.mkdir(folder, mode=0o700)
    for path in paths:
        copy = folder + path
        os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
        shutil.copy2(path, copy)
        status = os.stat(path)
        os.chown(copy, status.st_uid, status.st_gid)
    return folder


def main() -> None:
    """Entry point of the module."""
    rule = {
        "paths": {"type": "list", "elements": "str", "required": True},
        "contains": {"type": "str", "default": ""},
        "repositories": {"type": "list", "elements": "str", "default": []},
        "unowned": {"type": "bool", "default": False},
        "action": {"type": "str", "choices": ["replace", "move", "cut", "note"], "required": True},
        "description": {"type": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "rules": {"type": "list", "elements": "dict", "required": True, "options": rule},
            "made_by": {"type": "str", "required": True},
            "adopt": {"type": "bool", "default": False},
            "backup": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    parameters = module.params
    findings = find(parameters["rules"], parameters["made_by"], Packages(module))
    changing = [each for each in findings if each["action"] != "note"]
    folder = None
    if parameters["adopt"] and changing and not module.check_mode:
        folder = keep([each["path"] for each in changing], parameters["backup"])
        for each in changing:
            if each["action"] == "move":
                os.unlink(each["path"])
            elif each["action"] == "cut":
                rest = cut(each["path"], files.read(each["path"]), each["contains"])
                if rest.strip():
                    files.write(module, each["path"], rest)
                else:
                    os.unlink(each["path"])
    module.exit_json(
        changed=parameters["adopt"] and bool(changing),
        findings=findings,
        in_the_way=[words_for(each) for each in changing],
        backup=folder,
    )


if __name__ == "__main__":
    main()
