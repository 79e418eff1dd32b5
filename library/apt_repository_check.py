#!/usr/bin/python
"""Ansible module ``apt_repository_check``: try an APT repository without adding it to the host."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: apt_repository_check
short_description: Try an APT repository and its key without adding them to the host
description:
  - Runs C(apt-get update) for this one repository in a temporary folder, with this one key.
  - Fails with a sentence when the key is another one, and when the repository does not answer, is
    not signed by the key, or is none. Changes nothing, in check mode neither.
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
  fingerprint:
    description:
      - Fingerprint that the key has to have, hexadecimal digits. Spaces do not matter.
      - A file with more primary keys than this one is refused, as each of them could sign.
    type: str
    required: true
  variable:
    description: First part of the variables' names, for the sentences.
    type: str
    required: true
  versions:
    description:
      - Exact versions of packages, by name. Where the repository has a package of these, it has to
        have this version of it.
    type: dict
    default: {}
  timeout:
    description: How long the repository may stay silent, in seconds. apt-get waits twice as long.
    type: int
    default: 8
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
    fingerprint: 66A9 CD05 95D6 AFA2 4729 0D3B EF8B 479E 2DC1 389C
    variable: jitsi_tokens_repository
"""

RETURN = r"""
key:
  description: The key, which is the expected one.
  type: str
  returned: success
output:
  description: What apt-get said.
  type: str
  returned: always
"""

_ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_UNSIGNED = re.compile(r"NO_PUBKEY|not signed|BADSIG|EXPKEYSIG|REVKEYSIG|GPG error|OpenPGP|sqv")

_PUBLIC_KEY = 6  # packet type of a primary key (RFC 9580, section 5)


def dearmour(key: str) -> bytes:
    """The packets in an ASCII-armoured key (RFC 9580, section 6.2). Raises ValueError."""
    _, begin, rest = key.partition(_ARMOUR)
    body, end, _ = rest.partition("-----END PGP PUBLIC KEY BLOCK-----")
    _, blank, data = body.replace("\r", "").partition("\n\n")
    if not begin or not end or not blank:
        raise ValueError("the armour is incomplete")
    lines = [line for line in data.split("\n") if not line.startswith("=")]
    try:
        return base64.b64decode("".join(lines), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the armour is no base64: {error}") from error


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each OpenPGP packet (RFC 9580, section 4.2). Raises ValueError."""
    position = 0
    while position < len(data):
        tag = data[position]
        if not tag & 0x80:
            raise ValueError("there is something else between the packets")
        if tag & 0x40:
            kind, first = tag & 0x3F, data[position + 1]
            if first < 192:
                header, length = 2, first
            elif first < 224:
                header, length = 3, ((first - 192) << 8) + data[position + 2] + 192
            elif first == 255:
                header, length = 6, int.from_bytes(data[position + 2 : position + 6], "big")
            else:
                raise ValueError("keys have no packets of unknown length")
        else:
            kind, size = (tag >> 2) & 0x0F, 1 << (tag & 0x03)
            if size == 8:
                raise ValueError("keys have no packets of unknown length")
            header = 1 + size
            length = int.from_bytes(data[position + 1 : position + header], "big")
        body = data[position + header : position + header + length]
        if len(body) < length:
            raise ValueError("the last packet is cut off")
        yield kind, body
        position += header + length


def fingerprints(key: str) -> list[str]:
    """Fingerprints of the primary keys in an armoured file, in capitals.

    Raises ValueError where the file is no OpenPGP key, or one of a version that is not known.
    """
    found = []
    try:
        for kind, body in packets(dearmour(key)):
            if kind != _PUBLIC_KEY:
                continue
            if body[0] == 4:  # RFC 9580, section 5.5.4.2: SHA-1 is what version 4 has
                prefix, digest = b"\x99" + len(body).to_bytes(2, "big"), hashlib.sha1
            elif body[0] == 6:  # section 5.5.4.3
                prefix, digest = b"\x9b" + len(body).to_bytes(4, "big"), hashlib.sha256
            else:
                raise ValueError(f"version {body[0]} of keys is not known")
            found.append(digest(prefix + body).hexdigest().upper())
    except IndexError as error:
        raise ValueError("a packet is cut off") from error
    return found


def check_key(key: str, fingerprint: str, variable: str) -> str:
    """The sentence for a key that is not the expected one, empty where it is."""
    expected = re.sub(r"\s", "", fingerprint).upper()
    if not re.fullmatch(r"[0-9A-F]{40}|[0-9A-F]{64}", expected):
        return (
            f"{variable}_fingerprint is no fingerprint: it has 40 hexadecimal digits. Take it from"
            " a place that you trust, not from the key itself."
        )
    if not key.strip():
        return (
            f"{variable}_key cannot be read, or holds nothing. Name a file on this controller, or"
            " an https address that answers from here; a warning says why an address does not."
        )
    if _ARMOUR not in key:
        return (
            f"{variable}_key holds no ASCII-armoured OpenPGP key: the line {_ARMOUR} is not in it."
            " Give the .asc file, or the address of one."
        )
    try:
        found = fingerprints(key)
    except ValueError as error:
        return (
            f"{variable}_key holds no whole OpenPGP key ({error}). Give the complete .asc file, or"
            " the address of one."
        )
    if found == [expected]:
        return ""
    others = ", ".join(each for each in found if each != expected)
    if expected in found:
        return (
            f"{variable}_key holds other keys beside the expected one ({others}), and each could"
            " sign packages. Give a file with that one key."
        )
    return (
        f"{variable}_key has the fingerprint {others or 'of no key'}, not {expected} as"
        f" {variable}_fingerprint says. Do not install from it before you know why: get the right"
        " key, or correct the variable if the repository has announced a new one."
    )


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


def check_versions(output: str, versions: dict[str, str], url: str, suite: str) -> str:
    """The sentence for versions that ``apt-cache madison`` does not name, empty where it does."""
    offers: dict[str, list[str]] = {}
    for row in output.splitlines():
        columns = [column.strip() for column in row.split("|")]
        if len(columns) == 3 and not columns[2].endswith("Sources"):
            offers.setdefault(columns[0], []).append(columns[1])
    return " ".join(
        f"{name} {version} is no longer offered; the repository {url} {suite} has"
        f" {', '.join(offers[name][:5])}. Correct jitsi_versions, or remove {name} from it."
        for name, version in versions.items()
        if name in offers and version not in offers[name]
    )


def confine(folder: Path, url: str, suite: str, timeout: int) -> list[str]:
    """Options that confine apt to ``folder``, which has the key and gets everything else."""
    suites = suite if suite.endswith("/") else f"{suite} main"
    source = folder / "try.list"
    source.write_text(f"deb [signed-by={folder / 'key.asc'}] {url} {suites}\n", encoding="utf-8")
    (folder / "lists" / "partial").mkdir(parents=True)
    settings = {
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
    return [f"-o{name}={value}" for name, value in settings.items()]


def main() -> None:
    """Ansible's shell around `confine` and `diagnose`."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "suite": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "fingerprint": {"type": "str", "required": True},
            "variable": {"type": "str", "required": True},
            "versions": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 8},
        },
        supports_check_mode=True,
    )
    url, suite = module.params["url"], module.params["suite"]
    variable = module.params["variable"]
    problem = check_key(module.params["key"], module.params["fingerprint"], variable)
    if problem:
        module.fail_json(msg=problem)
    with tempfile.TemporaryDirectory(prefix="vestibule-") as name:
        folder = Path(name)
        (folder / "key.asc").write_text(module.params["key"].strip() + "\n", encoding="utf-8")
        options = confine(folder, url, suite, module.params["timeout"])
        module.run_command_environ_update = {"LC_ALL": "C.UTF-8"}
        status, out, err = module.run_command(["apt-get", "update", *options])
        output = out + err
        if status != 0:
            module.fail_json(msg=diagnose(output, url, suite, variable), output=output)
        versions = module.params["versions"]
        if versions:
            _, offers, _ = module.run_command(["apt-cache", "madison", *options, *versions])
            problem = check_versions(offers, versions, url, suite)
            if problem:
                module.fail_json(msg=problem, output=output)
    module.exit_json(changed=False, key=module.params["key"], output=output)


if __name__ == "__main__":
    main()
