#!/usr/bin/python
"""Ansible module ``self_signed``: certificates of hosts that sign them themselves."""

from __future__ import annotations

import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: self_signed
short_description: Create self-signed certificates where there are none
description:
  - Creates a key on the curve P-256 and a certificate for each name that has none. What is there
    stays as it is, whether it has expired or not.
  - Needs openssl on the host.
options:
  names:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  directory:
    description: Where they are, as C(NAME.crt) and C(NAME.key). Created where it is missing.
    type: path
    required: true
  days:
    description: How long they are valid.
    type: int
    required: true
  user:
    description: Who creates the files, and owns them.
    type: str
    default: root
attributes:
  check_mode:
    description: Tells which ones would be created.
    support: full
  diff_mode:
    description: Names the files.
    support: full
"""

EXAMPLES = r"""
- name: Create the certificate of a host
  self_signed:
    names: [auth.meet.example.org]
    directory: /var/lib/prosody
    days: 3650
    user: prosody
"""

RETURN = r"""
created:
  description: Paths of the certificates that were (in check mode, would be) created.
  type: list
  elements: str
  returned: success
"""


def command(path: str, days: int, user: str) -> list[str]:
    """The argv that creates ``path``.crt; as its user, whose links then lead nowhere else."""
    name = os.path.basename(path)
    become = [] if user == "root" else ["runuser", f"--user={user}", "--"]
    return [
        *become,
        *("openssl", "req", "-x509", "-nodes", "-newkey", "ec"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", str(days)),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-keyout", f"{path}.key", "-out", f"{path}.crt"),
    ]


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "days": {"type": "int", "required": True},
            "user": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    directory = module.params["directory"]
    paths = [os.path.join(directory, name) for name in module.params["names"]]
    missing = [path for path in paths if not os.path.exists(f"{path}.crt")]
    if missing and not module.check_mode:
        os.umask(0o022)
        os.makedirs(directory, exist_ok=True)
        for path in missing:
            module.run_command(
                command(path, module.params["days"], module.params["user"]), check_rc=True
            )
    created = [f"{path}.crt" for path in missing]
    module.exit_json(
        changed=bool(created),
        created=created,
        diff={"before": "", "after": "".join(f"{path}\n" for path in created)},
    )


if __name__ == "__main__":
    main()
