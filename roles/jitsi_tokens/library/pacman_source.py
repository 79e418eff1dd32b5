#!/usr/bin/python
"""Ansible module ``pacman_source``: name a repository to pacman, and trust its one key."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pacman_source
short_description: Name a repository to pacman, and trust the one key that signs its packages
description:
  - Writes the repository into a file of its own, and one line C(Include) at the end of
    C(pacman.conf). pacman reads no folder of files, so there is no other way in. At the end, the
    repositories of the distribution come first and nothing of theirs is replaced.
  - Adds the key to pacman's keyring and signs it locally, after a look at its fingerprint.
options:
  name:
    description: Name of the repository, which is also the name of its database.
    type: str
    default: ""
  server:
    description: Address of the folder with the database. pacman fills in C($repo) and C($arch).
    type: str
    default: ""
  key:
    description: The key that has to sign every package, ASCII-armoured (RFC 9580, section 6).
    type: str
    default: ""
  fingerprint:
    description: Fingerprint that the key has to have, hexadecimal digits. Spaces do not matter.
    type: str
    default: ""
  state:
    description:
      - C(present) names the repository, C(absent) forgets it; the key stays.
      - C(tried) fetches its database into a temporary folder, and changes nothing.
    type: str
    choices: [present, absent, tried]
    default: present
  path:
    description: The file with the repository.
    type: path
    default: /etc/pacman.d/vestibule-jitsi.conf
  configuration:
    description: The file that includes it.
    type: path
    default: /etc/pacman.conf
  variable:
    description: Name of the variable with all of this, for the sentences.
    type: str
    required: true
attributes:
  check_mode:
    description: Tells whether something would change.
    support: full
"""

EXAMPLES = r"""
- name: Name a repository with Jitsi's packages
  pacman_source:
    name: jitsi
    server: https://arch.example.org/$arch
    key: "{{ lookup('ansible.builtin.file', 'jitsi.asc') }}"
    fingerprint: 66A9 CD05 95D6 AFA2 4729 0D3B EF8B 479E 2DC1 389C
    variable: jitsi_tokens_pacman_repository
"""

RETURN = r"""
paths:
  description: Files that changed, or would.
  type: list
  elements: str
  returned: always
"""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.@+-]*")
_KEYRING = "/etc/pacman.d/gnupg"
_TRUSTED = ("f", "u")  # validity full or ultimate (GnuPG, doc/DETAILS, field 2)


class RepositoryError(Exception):
    """A sentence for the operator: what is wrong and what to do about it."""


def primary_keys(listing: str) -> dict[str, str]:
    """Validity by fingerprint of the primary keys in ``gpg --with-colons --fingerprint``."""
    found: dict[str, str] = {}
    validity = None
    for row in listing.splitlines():
        fields = row.split(":")
        if fields[0] == "pub":
            validity = fields[1]
        elif fields[0] == "fpr" and validity is not None:
            found[fields[9]] = validity
            validity = None
    return found


def judge_key(found: list[str], fingerprint: str, variable: str) -> str:
    """The sentence for a file with other keys than the expected one, empty where it is right."""
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", fingerprint):
        return (
            f"{variable}.fingerprint is no fingerprint: it has 40 hexadecimal digits. Take it from"
            " a place that you trust, not from the key itself."
        )
    if not found:
        return f"{variable}.key holds no OpenPGP key. Give the .asc file, or the address of one."
    if found != [fingerprint]:
        return (
            f"{variable}.key has the fingerprint {', '.join(found)}, not {fingerprint} as"
            f" {variable}.fingerprint says. Do not install from it before you know why: get the"
            " right key, or correct the variable if the repository has announced a new one."
        )
    return ""


def render(name: str, server: str) -> str:
    """The file with the repository: no package without a good signature (pacman.conf(5))."""
    return (
        "# Made by Vestibule, role jitsi_tokens. Changes made here are overwritten.\n"
        f"[{name}]\nSigLevel = Required DatabaseOptional\nServer = {server}\n"
    )


def include(configuration: str, path: str, present: bool) -> str:
    """``configuration`` with one line at its end that includes ``path``, or without any."""
    lines = configuration.splitlines()
    others = [line for line in lines if re.sub(r"\s", "", line) != f"Include={path}"]
    if present and len(lines) - len(others) == 1:
        return configuration
    return "".join(f"{line}\n" for line in [*others, *([f"Include = {path}"] if present else [])])


class Host:
    """pacman and its keyring."""

    def __init__(self, module: AnsibleModule) -> None:
        self._run = module.run_command

    def _must(self, argv: list[str], failure: str, data: str | None = None) -> str:
        status, out, err = self._run(argv, data=data, environ_update={"LC_ALL": "C"})
        if status != 0:
            said = " ".join((err or out).strip().splitlines()[-3:])
            raise RepositoryError(f"{failure} It said: {said}")
        return str(out)

    def keys_in(self, key: str) -> list[str]:
        """Fingerprints of the primary keys in an armoured text, none where it holds none."""
        with tempfile.TemporaryDirectory(prefix="vestibule-") as home:
            argv = ["gpg", "--homedir", home, "--batch", "--with-colons", "--show-keys"]
            return list(primary_keys(self._run(argv, data=key)[1]))

    def trusts(self, fingerprint: str) -> bool:
        """Whether pacman takes packages that this key has signed."""
        argv = ["gpg", "--homedir", _KEYRING, "--batch", "--with-colons", "--fingerprint"]
        argv += ["--no-permission-warning", "--list-keys", fingerprint]
        return primary_keys(self._run(argv)[1]).get(fingerprint) in _TRUSTED

    def trust(self, key: str, fingerprint: str) -> None:
        """Have pacman take packages that this key has signed."""
        failure = "pacman-key does not take the key; was pacman-key --init run on this host?"
        with tempfile.NamedTemporaryFile("w", prefix="vestibule-", suffix=".asc") as file:
            file.write(key.strip() + "\n")
            file.flush()
            self._must(["pacman-key", "--add", file.name], failure)
        self._must(["pacman-key", "--lsign-key", fingerprint], failure)

    def attempt(self, name: str, server: str, key: str, fingerprint: str, variable: str) -> None:
        """Fetch the database with this one repository and this one key. Changes nothing."""
        with tempfile.TemporaryDirectory(prefix="vestibule-") as folder:
            home = Path(folder, "gnupg")
            home.mkdir(mode=0o700)
            (home / "pubring.gpg").touch()  # pacman takes no keyring of another name
            Path(folder, "db").mkdir()
            gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
            self._must([*gpg, "--import"], "gpg does not take the key.", key)
            self._must([*gpg, "--import-ownertrust"], "gpg does not trust.", f"{fingerprint}:6:")
            configuration = Path(folder, "pacman.conf")
            # Whoever fetches may not be root, and has no way into this folder
            options = f"[options]\nArchitecture = auto\nDBPath = {folder}/db\nGPGDir = {home}/\n"
            configuration.write_text(options + render(name, server), encoding="utf-8")
            self._must(
                ["pacman", "-Sy", "--noconfirm", "--config", str(configuration)],
                f"pacman cannot read the repository {name} at {server} from this host. Check name,"
                f" server and key in {variable}, and the host's way out (DNS, proxy, firewall).",
            )


def write(path: str, text: str) -> None:
    """Replace a file in one step, readable for everybody."""
    new = Path(f"{path}.vestibule-new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def read(path: str) -> str:
    """What a file holds, nothing where there is none."""
    return Path(path).read_text(encoding="utf-8") if os.path.exists(path) else ""


def run(module: AnsibleModule, host: Host) -> dict[str, Any]:
    """Look, and do what is asked. Raises RepositoryError."""
    options = module.params
    name, server, variable = options["name"], options["server"], options["variable"]
    fingerprint = re.sub(r"\s", "", options["fingerprint"]).upper()
    present = options["state"] != "absent"
    if present:
        if not _NAME.fullmatch(name):
            raise RepositoryError(
                f"{variable}.name is missing or no name of a repository: small letters and digits."
            )
        if not re.fullmatch(r"(https?|file)://\S+", server):
            raise RepositoryError(f"{variable}.server is no address. Give one with https://.")
        problem = judge_key(host.keys_in(options["key"]), fingerprint, variable)
        if problem:
            raise RepositoryError(problem)
    if options["state"] == "tried":
        host.attempt(name, server, options["key"], fingerprint, variable)
        return {"changed": False, "paths": []}

    path, configuration = options["path"], options["configuration"]
    wanted = {
        path: render(name, server) if present else "",
        configuration: include(read(configuration), path, present),
    }
    # The file before the line that includes it; the other way round where both go
    changing = [each for each in wanted if read(each) != wanted[each]]
    changing = changing if present else changing[::-1]
    untrusted = present and not host.trusts(fingerprint)
    if not module.check_mode:
        if untrusted:
            host.trust(options["key"], fingerprint)
        for each in changing:
            if wanted[each]:
                write(each, wanted[each])
            else:
                os.unlink(each)
    return {"changed": untrusted or bool(changing), "paths": changing}


def main() -> None:
    """Ansible's shell around `run`."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "default": ""},
            "server": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": False},
            "fingerprint": {"type": "str", "default": ""},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "tried"],
                "default": "present",
            },
            "path": {"type": "path", "default": "/etc/pacman.d/vestibule-jitsi.conf"},
            "configuration": {"type": "path", "default": "/etc/pacman.conf"},
            "variable": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module, Host(module)))
    except RepositoryError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
