#!/usr/bin/python
"""Ansible module ``apt_repository_check``: try an APT repository without adding it to the host."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: apt_repository_check
short_description: Try an APT repository and its key without adding them to the host
description:
  - Runs C(apt-get update) for this one repository in a temporary folder, with this one key.
  - Fails with a sentence when the repository does not answer, is not signed by the key, or is
    none. Changes nothing, in check mode neither.
options:
  url:
    description: Address of the repository.
    type: str
    required: true
  suite:
    description: Suite, with a slash at the end for a flat repository.
    type: str
    required: true
  key:
    description: The key that has to sign it, ASCII-armoured (RFC 9580, section 6).
    type: str
    required: true
  variable:
    description: First part of the variables' names, for the sentences.
    type: str
    required: true
  timeout:
    description: How long the repository may stay silent, in seconds.
    type: int
    default: 20
attributes:
  check_mode:
    description: Runs as always, as it changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Try the repository before the host is touched
  apt_repository_check:
    url: https://download.jitsi.org
    suite: stable/
    key: "{{ lookup('ansible.builtin.file', 'jitsi.asc') }}"
    variable: jitsi_tokens_repository
"""

RETURN = r"""
output:
  description: What apt-get said.
  type: str
  returned: always
"""

_ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_UNSIGNED = re.compile(r"NO_PUBKEY|not signed|BADSIG|EXPKEYSIG|REVKEYSIG|GPG error|OpenPGP|sqv")


def diagnose(output: str, url: str, suite: str, variable: str) -> str:
    """The sentence for what a failed ``apt-get update`` printed in ``output``."""
    lines = [line for line in output.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    said = " ".join(lines[:3]) or output.strip()[-300:]
    if _UNSIGNED.search(output):
        return (
            f"The repository {url} {suite} is not signed by the key in {variable}_key. Do not"
            f" install from it: get the right key, or correct {variable}_url. apt-get said: {said}"
        )
    return (
        f"The repository {url} {suite} cannot be read from this host. Check {variable}_url,"
        f" {variable}_suite, and the host's way out (DNS, proxy, firewall). apt-get said: {said}"
    )


def command(folder: Path, url: str, suite: str, timeout: int) -> list[str]:
    """``apt-get update`` confined to ``folder``, which has the key and gets everything else."""
    suites = suite if suite.endswith("/") else f"{suite} main"
    source = folder / "try.list"
    source.write_text(f"deb [signed-by={folder / 'key.asc'}] {url} {suites}\n", encoding="utf-8")
    (folder / "lists" / "partial").mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": source,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder,
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Retries": 0,
        "Acquire::http::Timeout": timeout,
        "Acquire::https::Timeout": timeout,
    }
    return ["apt-get", "update", *(f"-o{name}={value}" for name, value in options.items())]


def main() -> None:
    """Ansible's shell around `command` and `diagnose`."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "suite": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "variable": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    url, suite = module.params["url"], module.params["suite"]
    variable = module.params["variable"]
    if _ARMOUR not in module.params["key"]:
        module.fail_json(
            msg=f"{variable}_key holds no ASCII-armoured OpenPGP key: the line {_ARMOUR} is not"
            " in it. Give the .asc file, or the address of one."
        )
    with tempfile.TemporaryDirectory(prefix="vestibule-") as name:
        folder = Path(name)
        (folder / "key.asc").write_text(module.params["key"].strip() + "\n", encoding="utf-8")
        argv = command(folder, url, suite, module.params["timeout"])
        status, out, err = module.run_command(argv, environ_update={"LC_ALL": "C.UTF-8"})
    output = out + err
    if status != 0:
        module.fail_json(msg=diagnose(output, url, suite, variable), output=output)
    module.exit_json(changed=False, output=output)


if __name__ == "__main__":
    main()
