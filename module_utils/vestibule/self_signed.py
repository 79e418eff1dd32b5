"""What the module ``self_signed`` does."""

from __future__ import annotations

import os
import re
import ssl
import stat
import time
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before

_NAMES = re.compile(r"DNS:([^\s,]+)")
_PART = 3  # of the time for which it is made; in the last such part a certificate is renewed


def names_in(module: AnsibleModule, path: str) -> set[str]:
    """The names of servers that a certificate is for; none where it cannot be read."""
    argv = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", path]
    return set(_NAMES.findall(module.run_command(argv)[1]))


def is_due(module: AnsibleModule, path: str) -> bool:
    """Whether a certificate signs itself, and is in the last third of its life or lacks a name."""
    argv = ["openssl", "x509", "-noout", "-subject", "-issuer", "-startdate", "-enddate", "-in"]
    _, output, _ = module.run_command([*argv, path])
    said = dict(re.findall(r"^(\w+)=(.*)$", output, re.MULTILINE))
    if len(said) != 4 or said["subject"] != said["issuer"]:
        return False
    begin, end = (ssl.cert_time_to_seconds(said[each]) for each in ("notBefore", "notAfter"))
    if end - time.time() < (end - begin) / _PART:
        return True
    more = set(module.params["more_names"])
    return bool(more) and not more <= names_in(module, path)


def command(
    path: str, days: int, user: str, *, renew: bool, more_names: Sequence[str] = ()
) -> list[str]:
    """The argv that writes ``path``.crt.new, for the key of the one that is renewed or a new key.

    Whoever trusts the old certificate trusts one for the same key and name as well: other hosts
    that have a copy of it, and a Java that read its store before.

    It runs as its user, whose links then lead nowhere else.
    """
    name = os.path.basename(path)
    become = [] if user == "root" else ["runuser", f"--user={user}", "--"]
    key = f"{path}.key"
    alternatives = ",".join(f"DNS:{each}" for each in [name, *more_names])
    new = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", key]
    return [
        *become,
        *("openssl", "req", "-x509", *(["-key", key] if renew else new)),
        *("-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternatives}"),
        *("-out", f"{path}.crt.new"),
    ]


def is_open(key: str) -> bool:
    """Whether users who are neither owner nor in the group of a key have a right on it."""
    return os.path.exists(key) and os.stat(key).st_mode & stat.S_IRWXO != 0


def run(module: AnsibleModule) -> dict[str, Any]:
    """Create and renew what has to be. Returns the result of the task."""
    directory = module.params["directory"]
    paths = [os.path.join(directory, name) for name in module.params["names"]]
    missing = [path for path in paths if not os.path.exists(f"{path}.crt")]
    due = [path for path in paths if path not in missing and is_due(module, f"{path}.crt")]
    if missing + due and not module.check_mode:
        made = [f"{path}.{kind}" for path in missing + due for kind in ("crt", "key")]
        before.note(module, dict.fromkeys(made, before.WHATEVER), [directory], data=True)
        os.umask(0o022)
        os.makedirs(directory, exist_ok=True)
        for path in missing + due:
            renew = path in due and os.path.exists(f"{path}.key")
            argv = command(
                path,
                module.params["days"],
                module.params["user"],
                renew=renew,
                more_names=module.params["more_names"],
            )
            module.run_command(argv, check_rc=True)
            os.replace(f"{path}.crt.new", f"{path}.crt")
    opened = [key for key in (f"{path}.key" for path in paths) if is_open(key)]
    for key in [] if module.check_mode else opened:
        os.chmod(key, stat.S_IMODE(os.stat(key).st_mode) & ~stat.S_IRWXO)
    created, renewed = [[f"{path}.crt" for path in group] for group in (missing, due)]
    return {
        "changed": bool(created or renewed or opened),
        "created": created,
        "renewed": renewed,
        "closed": opened,
        "diff": {
            "before": "",
            "after": "".join(f"{path}\n" for path in created + renewed + opened),
        },
    }


SPEC: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "required": True},
    "more_names": {"type": "list", "elements": "str", "default": []},
    "directory": {"type": "path", "required": True},
    "days": {"type": "int", "required": True},
    "user": {"type": "str", "default": "root"},
}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.exit_json(**run(module))
