#!/usr/bin/python
"""Ansible module ``host_history``: what an earlier installation left, and a copy of it."""

from __future__ import annotations

from ansible.module_utils.vestibule.host_history import main

DOCUMENTATION = r"""
module: host_history
short_description: Find what an earlier installation left, and take it out of the way
description:
  - Looks by rules for files that this project did not make. What it made, and what a package
    delivered and nobody changed, is no finding.
  - With I(adopt), keeps a copy of every finding and removes those that must not stay. Without it,
    nothing changes.
options:
  rules:
    description: What to look for.
    type: list
    elements: dict
    required: true
    suboptions:
      paths:
        description: Paths, with C(*) for anything.
        type: list
        elements: str
        required: true
      contains:
        description: Regular expression that a file has to contain (multi-line), all where empty.
        type: str
        default: ""
      repositories:
        description:
          - Addresses of repositories, of which a file has to have entries, by http or by https. In
            place of I(contains).
        type: list
        elements: str
        default: []
      unowned:
        description: Whether files of packages are no finding, changed or not.
        type: bool
        default: false
      action:
        description: >-
          V(replace) is for what a later task overwrites, V(move) for what has to go, V(cut) for
          sources of apt (sources.list(5)) of which the entries of I(repositories) have to go, and
          V(note) for what only has to be known.
        type: str
        choices: [replace, move, cut, note]
        required: true
      description:
        description: What it is and what becomes of it, for people.
        type: str
        required: true
  made_by:
    description: Text in the files that this project made.
    type: str
    required: true
  adopt:
    description: Whether to keep copies and to remove what must not stay.
    type: bool
    default: false
  backup:
    description: Folder for the copies, which get a folder of the time of the run there.
    type: path
    required: true
attributes:
  check_mode:
    description: Tells what would change.
    support: full
"""

EXAMPLES = r"""
- name: Look for hosts that Prosody would serve beside ours
  host_history:
    rules:
      - paths: [/etc/prosody/conf.d/*.cfg.lua]
        action: move
        description: a host that Prosody would serve beside the managed ones
    made_by: Made by Vestibule
    backup: /var/backups/vestibule
"""

RETURN = r"""
findings:
  description: What was found, each path once.
  type: list
  elements: dict
  returned: always
  sample:
    - path: /etc/prosody/conf.d/old.cfg.lua
      action: move
      description: a host that Prosody would serve beside the managed ones
      repositories: []
      contains: ""
in_the_way:
  description: Words for each finding that has to go or is overwritten.
  type: list
  elements: str
  returned: always
  sample: ["the entries of https://download.jitsi.org in /etc/apt/sources.list"]
backup:
  description: Folder with the copies, null where none was made.
  type: str
  returned: always
"""

if __name__ == "__main__":
    main()
