#!/usr/bin/python
"""Ansible module ``archive_release``: unpack an archive as one of several releases."""

from __future__ import annotations

from ansible.module_utils.vestibule.archive_release import main

DOCUMENTATION = r"""
module: archive_release
short_description: Unpack an archive as one of several releases, whole or not at all
description:
  - Unpacks a tarball with one top folder, which is left out, beside the other releases. It gets its
    name once it is whole and its check was passed, so a folder with a name is a release.
  - Takes files and folders alone, which belong to root and which everybody may read, and refuses an
    archive with a path that leads out of it.
  - Removes all other releases but those to keep, and what runs left that were cut off.
options:
  directory:
    description: Folder of the releases.
    type: path
    required: true
  archive:
    description:
      - Tarball on the host, which is removed afterwards. In check mode it may be missing.
      - Without one, nothing is unpacked.
    type: path
  name:
    description: Name of the release, 16 hexadecimal digits. Required with I(archive).
    type: str
  keep:
    description: Releases that stay besides, by name or path.
    type: list
    elements: str
    default: []
  check:
    description: Program that judges the files in the folder, with its arguments.
    type: list
    elements: str
    default: []
  refusal:
    description: What to say before the words of that program when it refuses them.
    type: str
    default: The archive was refused
  remedy:
    description: What to say behind these.
    type: str
    default: Use another one.
author: Vestibule contributors
"""

EXAMPLES = r"""
- name: Unpack plugins
  archive_release:
    archive: /usr/local/share/plugins/upload.tar
    directory: /usr/local/share/plugins
    name: 0123456789abcdef
    keep: [/usr/local/share/plugins/fedcba9876543210]
"""

RETURN = r"""
unpacked:
  description: Whether it was (in check mode, would be) unpacked.
  type: bool
  returned: success
removed:
  description: Names of what was removed.
  type: list
  elements: str
  returned: success
"""

if __name__ == "__main__":
    main()
