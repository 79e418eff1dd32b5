#!/usr/bin/python
"""Ansible module ``uninstalled``: leave a host as it was before this project came."""

from __future__ import annotations

from ansible.module_utils.vestibule.uninstall import main

DOCUMENTATION = r"""
module: uninstalled
short_description: Leave a host as it was before this project came
description:
  - Takes away what modules of this project noted in C(/var/lib/vestibule/before) that they put on
    the host, and brings back what stood there before. No module of Ansible knows that.
  - Packages go that came with an installation of ours, and that neither another package needs nor
    a program runs on that is not ours. nginx and Prosody stay where they serve sites or hosts of
    others.
  - What somebody changed since stays, belongs to root, and is named.
  - A run that is cut off is finished by the next one.
options:
  data:
    description: >-
      Whether accounts, certificates and logs are moved into a folder that root alone reads, or
      deleted, together with all copies in I(backup).
    type: str
    choices: [keep, purge]
    default: keep
  folders:
    description: Folders of data. Of those that are not ours alone, only what is ours goes.
    type: list
    elements: path
    default: []
  logs:
    description: Logs, with C(*) for anything.
    type: list
    elements: str
    default: []
  made:
    description: Files and folders that programs of ours make, with C(*) for anything.
    type: list
    elements: str
    default: []
  deploy_hook:
    description: Program by which certificates of certbot are known to be ours.
    type: str
    default: ""
  trust_command:
    description: Program that makes Java's store anew, with its arguments.
    type: list
    elements: str
    default: []
  backup:
    description: Folder for data that is kept, in which it gets a folder of the time of the run.
    type: path
    default: /var/backups/vestibule
attributes:
  check_mode:
    description: Tells what would go.
    support: full
  diff_mode:
    description: Names all that goes.
    support: full
"""

EXAMPLES = r"""
- name: Take away what was deployed, and keep the accounts
  uninstalled:
    folders: [/var/lib/prosody]
    logs: [/var/log/jitsi]
"""

RETURN = r"""
removed:
  description: What went, or would, in words.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/sites-enabled/meet.example.org.conf, package jicofo, user jicofo]
kept:
  description: Why something stays, by what it is.
  returned: always
  type: dict
  sample: {"package nginx": "it serves /etc/nginx/conf.d/other.conf, which is not ours"}
complete:
  description: >-
    Whether the host was noted before anything of ours was there. Otherwise packages of that time
    stay.
  returned: always
  type: bool
said:
  description: More about what was done, in sentences.
  returned: always
  type: list
  elements: str
"""

if __name__ == "__main__":
    main()
