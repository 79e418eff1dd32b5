#!/usr/bin/python
"""Ansible module ``stored_data``: what is stored on a server as one archive, in parts."""

from __future__ import annotations

from ansible.module_utils.vestibule.stored import main

DOCUMENTATION = r"""
module: stored_data
short_description: Make an archive of what is stored on a server, and put one back
description:
  - Ansible's own modules carry a file whole in memory where root alone may read it (slurp), or
    leave it readable on the way (unarchive). This one hands an archive over in parts, which stay
    with root, and checks each member before anything is in its place.
  - Owners and groups are taken by name, as their numbers differ between hosts.
options:
  state:
    description:
      - C(packed) makes the archive, and C(read) returns a part of it. C(removed) deletes it.
      - C(written) takes a part of an archive, and C(restored) puts all in the place of what is
        there, of which a copy is kept. Prosody is stopped for that.
    type: str
    choices: [packed, read, removed, written, restored]
    required: true
  paths:
    description: Folders and files, for C(packed) with C(*) for anything.
    type: list
    elements: str
    default: []
  offset:
    description: Where a part begins, in bytes.
    type: int
    default: 0
  length:
    description: How long it is at most, in bytes.
    type: int
    default: 0
  content:
    description: The part, in base64.
    type: str
    default: ""
  sha256:
    description: SHA-256 of the whole archive.
    type: str
    default: ""
  unpacked:
    description: Bytes that its files have.
    type: int
    default: 0
  backup:
    description: Folder for copies of what is replaced.
    type: path
    default: /var/backups/vestibule
attributes:
  check_mode:
    description: Does nothing.
    support: full
"""

EXAMPLES = r"""
- name: Make an archive of Prosody's data
  stored_data: {state: packed, paths: [/var/lib/prosody]}
"""

RETURN = r"""
tops:
  description: Folders and files of I(paths) that there are.
  returned: for C(packed)
  type: list
  elements: str
size:
  description: Bytes of the archive.
  returned: for C(packed)
  type: int
sha256:
  description: SHA-256 of it.
  returned: for C(packed)
  type: str
unpacked:
  description: Bytes of the files in it.
  returned: for C(packed)
  type: int
count:
  description: Files, folders and links in it.
  returned: for C(packed)
  type: int
content:
  description: A part of it, in base64.
  returned: for C(read)
  type: str
paths:
  description: Folders and files that were put in place.
  returned: for C(restored)
  type: list
  elements: str
"""

if __name__ == "__main__":
    main()
