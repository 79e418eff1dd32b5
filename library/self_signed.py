#!/usr/bin/python
"""Ansible module ``self_signed``: certificates of hosts that sign them themselves."""

from __future__ import annotations

from ansible.module_utils.vestibule.self_signed import main

DOCUMENTATION = r"""
module: self_signed
short_description: Create self-signed certificates, and renew them before they expire
description:
  - Creates a key on the curve P-256 and a certificate for each name that has none.
  - Renews a certificate that signs itself in the last third of its life, for the key that is there,
    so that whoever trusts the old one trusts the new one. The old one stays until the new one takes
    its place. One that somebody else has signed stays as it is, whether it has expired or not.
  - Needs openssl on the host.
options:
  names:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  more_names:
    description: Further names of all of them. A certificate that signs itself is renewed for these.
    type: list
    elements: str
    default: []
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
    description: Tells which ones would be created or renewed.
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
renewed:
  description: Paths of the certificates that were (in check mode, would be) renewed.
  type: list
  elements: str
  returned: success
closed:
  description: Paths of the keys that others could read, and no longer can.
  type: list
  elements: str
  returned: success
"""

if __name__ == "__main__":
    main()
