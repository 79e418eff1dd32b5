"""What the module ``host_history`` does."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, files, former, leftovers, managers

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

    def own(self, paths: list[str]) -> set[str]:
        """Which of these files a package has."""
        if self._dpkg and paths:
            # One line a file: the packages, and its path
            found = self._run(["dpkg-query", "--search", *paths])[1]
            return {line.partition(": ")[2] for line in found.splitlines()}
        return {
            path for path in paths if self._pacman and not self._run(["pacman", "-Qo", path])[0]
        }

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
        paths = sorted(path for pattern in rule["paths"] for path in glob.glob(pattern))
        owned = packages.own(paths) if rule["unowned"] else set()
        for path in paths:
            if path in findings or not os.path.isfile(path):
                continue
            text = files.read(path)
            if made_by in text or not re.search(pattern, text, re.MULTILINE):
                continue
            if rule["action"] == "cut" and cut(path, text, pattern) == text:
                continue  # in a comment
            if path in owned or packages.left_as_it_was(path):
                continue
            told = {key: rule[key] for key in _TOLD}
            findings[path] = {"path": path, **told, "contains": pattern}
    return list(findings.values())


def words_for(finding: dict[str, Any]) -> str:
    """What is in the way. The rest of a file of sources stays."""
    if finding["action"] != "cut":
        return str(finding["path"])
    return f"the entries of {' and '.join(finding['repositories'])} in {finding['path']}"


def _digest_after(finding: dict[str, Any]) -> str:
    """Of what stands there once it was taken out of the way."""
    rest = ""
    if finding["action"] == "cut":
        rest = cut(finding["path"], files.read(finding["path"]), finding["contains"])
    kind = "file" if rest.strip() else "absent"
    return former.digest_of(
        kind, rest.encode("utf-8", "surrogateescape") if kind == "file" else b""
    )


def run(module: AnsibleModule) -> dict[str, Any]:
    """Find, and where that is wanted keep copies and take away. Returns the result of the task."""
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    parameters = module.params
    findings = find(parameters["rules"], parameters["made_by"], Packages(module))
    changing = [each for each in findings if each["action"] != "note"]
    folder = None
    if parameters["adopt"] and changing and not module.check_mode:
        folder = leftovers.keep([each["path"] for each in changing], parameters["backup"])
        before.note(module, {each["path"]: _digest_after(each) for each in changing})
        for each in changing:
            if each["action"] == "move":
                os.unlink(each["path"])
            elif each["action"] == "cut":
                rest = cut(each["path"], files.read(each["path"]), each["contains"])
                if rest.strip():
                    files.write(module, each["path"], rest)
                else:
                    os.unlink(each["path"])
    return {
        "changed": parameters["adopt"] and bool(changing),
        "findings": findings,
        "in_the_way": [words_for(each) for each in changing],
        "backup": folder,
    }


_RULE = {
    "paths": {"type": "list", "elements": "str", "required": True},
    "contains": {"type": "str", "default": ""},
    "repositories": {"type": "list", "elements": "str", "default": []},
    "unowned": {"type": "bool", "default": False},
    "action": {"type": "str", "choices": ["replace", "move", "cut", "note"], "required": True},
    "description": {"type": "str", "required": True},
}
SPEC: dict[str, Any] = {
    "rules": {"type": "list", "elements": "dict", "required": True, "options": _RULE},
    "made_by": {"type": "str", "required": True},
    "adopt": {"type": "bool", "default": False},
    "backup": {"type": "path", "required": True},
}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.exit_json(**run(module))
