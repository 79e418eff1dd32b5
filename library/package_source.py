#!/usr/bin/python
"""Ansible module ``package_source``: check a repository, and add it to apt or pacman."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, files, former, managers, openpgp, sources
from ansible.module_utils.vestibule.programs import reason, run

DOCUMENTATION = r"""
module: package_source
short_description: Add a repository to the package manager, check it, or remove it
description:
  - For apt it is a source in the form deb822 (sources.list(5)) that is signed by one key, that key,
    and pins (apt_preferences(5)) that let it bring certain packages and nothing else.
  - For pacman it is a file with the repository that one line C(Include) at the end of
    C(pacman.conf) brings in, and the key in pacman's keyring, signed locally.
  - A key is only taken where its fingerprint is the expected one, and it is alone in its file.
options:
  name:
    description: Name of the source, which stands behind C(vestibule-) in the names of its files.
    type: str
    required: true
  state:
    description:
      - C(present) adds the repository, C(absent) removes it. Keys stay in pacman's keyring.
      - C(checked) reads the repository into a temporary folder with this one key, and fails with a
        sentence where it does not answer, is not signed by the key, is none, or lacks a version.
    type: str
    choices: [present, absent, checked]
    default: present
  role:
    description: Which role adds it, for a comment in the files. Not for C(absent).
    type: str
    default: ""
  url:
    description: Address of the repository. pacman fills in C($repo) and C($arch).
    type: str
    default: ""
  suite:
    description: Suite, with a slash at the end for a flat repository. For apt.
    type: str
    default: ""
  packages:
    description: Patterns of the names that it may bring, with spaces between them. For apt.
    type: str
    default: ""
  priority:
    description: Priority of these. For apt.
    type: int
    default: 500
  repository:
    description: Name of the repository, which is also the name of its database. For pacman.
    type: str
    default: ""
  key:
    description: The key that has to sign it, ASCII-armoured (RFC 9580, section 6).
    type: str
    default: ""
  fingerprint:
    description:
      - Fingerprint that the key has to have, hexadecimal digits. Spaces do not matter.
      - A file with more primary keys than this one is refused, as each of them could sign.
    type: str
    default: ""
  variable:
    description: What the names of the variables with all of this begin with, for the sentences.
    type: str
    default: ""
  versions:
    description:
      - Exact versions of packages, by name. Where the repository has a package of these, it has to
        have this version of it. For apt and C(checked).
    type: dict
    default: {}
  staying:
    description:
      - Packages that stay when the repository goes. Which of them no other offers in the
        version that is installed is told in RV(orphans). For apt and C(absent).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Tells what would change. C(checked) runs as always, as it changes nothing.
    support: full
  diff_mode:
    description: Shows the files.
    support: full
"""

EXAMPLES = r"""
- name: Add Jitsi's repository to apt
  package_source:
    name: jitsi
    role: jitsi_tokens
    url: https://download.jitsi.org
    suite: stable/
    packages: jitsi-* jicofo
    key: "{{ lookup('ansible.builtin.file', 'jitsi.asc') }}"
    fingerprint: 66A9 CD05 95D6 AFA2 4729 0D3B EF8B 479E 2DC1 389C
    variable: jitsi_tokens_repository_

- name: Check a repository with Jitsi's packages for pacman
  package_source:
    name: jitsi
    state: checked
    role: jitsi_tokens
    repository: jitsi
    url: https://arch.example.org/$arch
    key: "{{ lookup('ansible.builtin.file', 'jitsi.asc') }}"
    fingerprint: 66A9 CD05 95D6 AFA2 4729 0D3B EF8B 479E 2DC1 389C
    variable: jitsi_tokens_pacman_repository.
"""

RETURN = r"""
paths:
  description: Files that changed, or would.
  type: list
  elements: str
  returned: success
key:
  description: The key, which is the expected one.
  type: str
  returned: unless it is absent
orphans:
  description: >-
    Versions that other repositories have, newest first, by name of the packages in O(staying) of
    which they lack the version that is installed.
  type: dict
  returned: success
  sample: {prosody: [0.11.13-1]}
"""

_UNSIGNED = re.compile(r"NO_PUBKEY|not signed|BADSIG|EXPKEYSIG|REVKEYSIG|GPG error|OpenPGP|sqv")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.@+-]*")
_WORD = re.compile(r"[!-~]+")
_WORDS = re.compile(r"[!-~]+( [!-~]+)*")
# Seconds for which a repository may stay silent. apt-get waits twice as long.
_SILENCE = 8


class SourceError(Exception):
    """A sentence for the operator: what is wrong and what to do about it."""


def check_key(key: str, expected: str, variable: str) -> None:
    """Refuse a key that is not the expected one. Raises SourceError."""
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", expected):
        raise SourceError(
            f"{variable}fingerprint is no fingerprint: it has 40 hexadecimal digits. Take it from"
            " a place that you trust, not from the key itself."
        )
    if not key.strip():
        raise SourceError(
            f"{variable}key cannot be read, or holds nothing. Name a file on this controller, or"
            " an https address that answers from here; a warning says why an address does not."
        )
    if openpgp.ARMOUR not in key:
        raise SourceError(
            f"{variable}key holds no ASCII-armoured OpenPGP key: the line {openpgp.ARMOUR} is not"
            " in it. Give the .asc file, or the address of one."
        )
    try:
        found = openpgp.fingerprints(key)
    except ValueError as error:
        raise SourceError(
            f"{variable}key holds no whole OpenPGP key ({error}). Give the complete .asc file, or"
            " the address of one."
        ) from error
    if found == [expected]:
        return
    others = ", ".join(each for each in found if each != expected)
    if expected in found:
        raise SourceError(
            f"{variable}key holds other keys beside the expected one ({others}), and each could"
            " sign packages. Give a file with that one key."
        )
    raise SourceError(
        f"{variable}key has the fingerprint {others or 'of no key'}, not {expected} as"
        f" {variable}fingerprint says. Do not install from it before you know why: get the right"
        " key, or correct the variable if the repository has announced a new one."
    )


def diagnose(output: str, url: str, suite: str, variable: str) -> str:
    """The sentence for what a failed ``apt-get update`` printed in ``output``."""
    if _UNSIGNED.search(output):
        return (
            f"The repository {url} {suite} is not signed by the key in {variable}key. Do not"
            f" install from it: get the right key, or correct {variable}url. apt-get said:"
            f" {reason(output)}"
        )
    return (
        f"The repository {url} {suite} cannot be read from this host. Check {variable}url,"
        f" {variable}suite, and the host's network (DNS, proxy, firewall). apt-get said:"
        f" {reason(output)}"
    )


def check_versions(
    offers: dict[str, list[str]], versions: dict[str, str], url: str, suite: str
) -> None:
    """Refuse versions that a repository has not, of packages that it has. Raises SourceError."""
    for name, version in versions.items():
        offered = offers.get(name, [])
        if offered and version not in offered:
            raise SourceError(
                f"{name} {version} is no longer offered; the repository {url} {suite} has"
                f" {', '.join(offered[:5])}. Correct jitsi_versions, or remove {name} from it."
            )


def confine(folder: Path, url: str, suite: str) -> list[str]:
    """Options that confine apt to ``folder``, which has the key and gets everything else."""
    suites = suite if suite.endswith("/") else f"{suite} main"
    source = folder / "try.list"
    source.write_text(f"deb [signed-by={folder / 'key.asc'}] {url} {suites}\n", encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "-",
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": 0,
        "Acquire::http::Timeout": _SILENCE,
        "Acquire::https::Timeout": _SILENCE,
    }
    return [
        *managers.lists_in(str(folder)),
        *(f"-o{name}={value}" for name, value in settings.items()),
    ]


class Source:
    """A repository and the files that add it, for one package manager."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._options = module.params
        self._variable: str = module.params["variable"]
        self._fingerprint = re.sub(r"\s", "", module.params["fingerprint"]).upper()

    def validate(self) -> None:
        """Refuse what must not be added. Raises SourceError."""
        self.check_form()
        check_key(self._options["key"], self._fingerprint, self._variable)

    def check_form(self) -> None:
        """Refuse values that would not be one line of a file. Raises SourceError."""
        raise NotImplementedError

    def check(self) -> None:
        """Read the repository and change nothing. Raises SourceError."""
        raise NotImplementedError

    def wanted(self) -> dict[str, str]:
        """What the files of ours hold, by path, in the order in which they are written."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """Those files, whatever they hold, in the order in which they are written."""
        raise NotImplementedError

    def register(self, *, present: bool, dry: bool) -> list[str]:  # noqa: ARG002
        """Have the package manager read and trust them, or no more. What changed, or would.

        apt needs no telling: it reads folders of files, and a source names its key.
        """
        return []

    def orphans(self) -> dict[str, list[str]]:
        """What RETURN calls so, for a source that is about to go."""
        return {}


class AptSource(Source):
    """A repository for apt."""

    def check_form(self) -> None:
        """Refuse values that would not be one line of a file. Raises SourceError."""
        for field, form in (("url", _WORD), ("suite", _WORD), ("packages", _WORDS)):
            if not form.fullmatch(self._options[field]):
                raise SourceError(
                    f"{field} of the repository {self._options['name']} is empty, or has spaces or"
                    " line breaks. Correct the address and the suite of that repository."
                )

    def check(self) -> None:
        """Read the repository and change nothing. Raises SourceError."""
        url, suite = self._options["url"], self._options["suite"]
        versions = self._options["versions"]
        with tempfile.TemporaryDirectory(prefix="vestibule-") as name:
            folder = Path(name)
            (folder / "key.asc").write_text(self._options["key"].strip() + "\n", encoding="utf-8")
            confined = confine(folder, url, suite)
            status, output = run(self._module, "apt-get", "update", *confined)
            if status != 0:
                raise SourceError(diagnose(output, url, suite, self._variable))
            if versions:
                offers = run(self._module, "apt-cache", "madison", *confined, *versions)[1]
                check_versions(managers.parse_madison(offers), versions, url, suite)

    def wanted(self) -> dict[str, str]:
        """What the files of ours hold, by path, in the order in which they are written."""
        return sources.render_apt({**self._options, "fingerprint": self._fingerprint})

    def paths(self) -> list[str]:
        """Those files, whatever they hold, in the order in which they are written."""
        return list(sources.apt_paths(self._options["name"]))

    def orphans(self) -> dict[str, list[str]]:
        """What RETURN calls so, for a source that is about to go."""
        staying = self._options["staying"]
        if not staying:
            return {}
        listed = files.read(self.paths()[-1])
        address = re.search(r"^URIs: (.*?)/*$", listed, re.MULTILINE)
        offers = managers.parse_madison(
            run(self._module, "apt-cache", "madison", *staying)[1],
            without=address[1] if address else None,
        )
        installed = managers.Apt(self._module).packages()
        return {
            name: offers.get(name, [])
            for name in staying
            if name in installed and installed[name][0] not in offers.get(name, [])
        }


class PacmanSource(Source):
    """A repository for pacman."""

    def check_form(self) -> None:
        """Refuse values that would not be one line of a file. Raises SourceError."""
        if not _NAME.fullmatch(self._options["repository"]):
            raise SourceError(
                f"{self._variable}name is missing, or has other characters than small letters and"
                " digits. Set it to the name of the repository."
            )
        if not re.fullmatch(r"(https?|file)://\S+", self._options["url"]):
            raise SourceError(
                f"{self._variable}server is no address. Set one that begins with https://."
            )

    def check(self) -> None:
        """Read the repository and change nothing. Raises SourceError."""
        with tempfile.TemporaryDirectory(prefix="vestibule-") as folder:
            home = Path(folder, "gnupg")
            home.mkdir(mode=0o700)
            (home / "pubring.gpg").touch()  # pacman takes no keyring of another name
            Path(folder, "db").mkdir()
            gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
            managers.must(
                self._module,
                "gpg does not take the key.",
                *gpg,
                "--import",
                data=self._options["key"],
            )
            trust = f"{self._fingerprint}:6:"
            managers.must(
                self._module, "gpg does not trust the key.", *gpg, "--import-ownertrust", data=trust
            )
            configuration = Path(folder, "pacman.conf")
            # Whoever fetches may not be root, and has no way into this folder
            options = f"[options]\nArchitecture = auto\nDBPath = {folder}/db\nGPGDir = {home}/\n"
            configuration.write_text(options + self._render(), encoding="utf-8")
            managers.must(
                self._module,
                f"pacman cannot read the repository {self._options['repository']} at"
                f" {self._options['url']} from this host. Check name, server and key in"
                f" {self._variable.rstrip('.')}, and the host's network (DNS, proxy, firewall).",
                *("pacman", "-Sy", "--noconfirm", "--config", str(configuration)),
            )

    def wanted(self) -> dict[str, str]:
        """What the file of ours holds, by path."""
        return {self.paths()[0]: self._render()}

    def _render(self) -> str:
        return sources.render_pacman({**self._options, "fingerprint": self._fingerprint})

    def paths(self) -> list[str]:
        """That file, whatever it holds."""
        return [sources.pacman_path(self._options["name"])]

    def register(self, *, present: bool, dry: bool) -> list[str]:
        """Have pacman read it and trust its key, or read it no more. What changed, or would."""
        changed = []
        pacman = managers.Pacman(self._module)
        if present and not pacman.trusts(self._fingerprint):
            changed.append(managers.PACMAN_KEYRING)
            if not dry:
                self.trust()
        if pacman.include(self.paths()[0], present=present, dry=dry):
            changed.append(managers.PACMAN_CONF)
        return changed

    def trust(self) -> None:
        """Have pacman take packages that the key has signed. Raises SourceError."""
        failure = "pacman-key does not take the key; was pacman-key --init run on this host?"
        with tempfile.NamedTemporaryFile("w", prefix="vestibule-", suffix=".asc") as file:
            file.write(self._options["key"].strip() + "\n")
            file.flush()
            managers.must(self._module, failure, "pacman-key", "--add", file.name)
        managers.must(self._module, failure, "pacman-key", "--lsign-key", self._fingerprint)


def add(module: AnsibleModule, source: Source) -> dict[str, Any]:
    """Write the files that are not as they have to be, then have them read."""
    texts = source.wanted()
    changing = {path: text for path, text in texts.items() if not sources.is_as(path, text)}
    diff = [difference(path, text) for path, text in changing.items()]
    if not module.check_mode and changing:
        before.note(
            module,
            {path: former.digest_of("file", text.encode()) for path, text in changing.items()},
            {os.path.dirname(path) for path in changing},
        )
        for path, text in changing.items():
            if not os.path.isdir(os.path.dirname(path)):  # keyrings, on an older release
                os.makedirs(os.path.dirname(path))
                os.chmod(os.path.dirname(path), 0o755)  # noqa: S103 — apt reads as its own user
            files.write(module, path, text, sources.MODE)
    registered = source.register(present=True, dry=module.check_mode)
    return {"paths": [*changing, *registered], "key": module.params["key"], "diff": diff}


def remove(module: AnsibleModule, source: Source) -> dict[str, Any]:
    """Have the files read no more, then remove them."""
    orphans = source.orphans()
    there = [path for path in reversed(source.paths()) if os.path.lexists(path)]
    diff = [difference(path, "") for path in there]
    registered = source.register(present=False, dry=module.check_mode)
    if not module.check_mode:
        for path in there:
            files.remove(path)
    return {"paths": [*registered, *there], "orphans": orphans, "diff": diff}


def difference(path: str, text: str) -> dict[str, str]:
    """The change of one file for ``--diff``. A key is no secret."""
    header = {"before_header": path, "after_header": path}
    return {**header, "before": files.read(path), "after": text}


def main() -> None:
    """Ansible's shell around `add` and `remove`."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "checked"],
                "default": "present",
            },
            "role": {"type": "str", "default": ""},
            "url": {"type": "str", "default": ""},
            "suite": {"type": "str", "default": ""},
            "packages": {"type": "str", "default": ""},
            "priority": {"type": "int", "default": 500},
            "repository": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": False},
            "fingerprint": {"type": "str", "default": ""},
            "variable": {"type": "str", "default": ""},
            "versions": {"type": "dict", "default": {}},
            "staying": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    result: dict[str, Any] = {"paths": [], "orphans": {}}
    try:
        is_apt = isinstance(managers.of(module), managers.Apt)
        source = AptSource(module) if is_apt else PacmanSource(module)
        if module.params["state"] == "absent":
            result.update(remove(module, source))
        else:
            source.validate()
            if module.params["state"] == "present":
                result.update(add(module, source))
            else:
                source.check()
                result["key"] = module.params["key"]
    except (SourceError, managers.PackageError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(result["paths"]), **result)


if __name__ == "__main__":
    main()
