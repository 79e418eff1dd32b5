#!/usr/bin/python
"""Module ``prosody_account``: accounts and roster entries in Prosody's internal storage."""

from __future__ import annotations

from ansible.module_utils.vestibule.prosody_account import main

DOCUMENTATION = r"""
module: prosody_account
short_description: Keep accounts and roster entries of Prosody as they should be
description:
  - Creates accounts, sets passwords and lets contacts see users, all in one call.
  - Knows from the stored SCRAM keys whether a password is current. When nothing differs, no program
    is started.
  - Changes go through Prosody's own Lua code, whether Prosody runs or not. Passwords travel by
    standard input.
  - Removes the accounts in O(absent) and O(former) and nothing else. Accounts and roster entries
    that are not listed stay as they are.
  - Gives folders and data of Prosody's that belong to somebody else back to it.
  - Needs Prosody 0.12 or later with C(storage = "internal") and
    C(authentication = "internal_hashed"), and root.
options:
  accounts:
    description:
      - Accounts that have to exist, a mapping of address in lower case to password. Passwords are
        printable ASCII characters.
      - It is a mapping so that Ansible keeps all of it out of the log of the target. The entries of
        a list are logged, and a password with a quote in it is not masked there.
    type: dict
    default: {}
  roster:
    description:
      - Contacts that have to see the presence of a user, as if they had asked and the user had
        agreed. C(mod_client_proxy) finds its target this way.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description: Address of an account, for example C(focus@auth.example.org).
        type: str
        required: true
      contact:
        description: Address of an account, host or component, for example C(focus.example.org).
        type: str
        required: true
  absent:
    description: Accounts that must not exist, addresses in lower case.
    type: list
    elements: str
    default: []
  keep_former:
    description: Keep the files that are changed, as M(config_files) does.
    type: bool
    default: false
  leftovers:
    description:
      - Accounts as C(focus@auth.*), of which all go that are in no other option, as those of a
        former domain.
      - Copies of all that go are kept in C(/var/backups/vestibule).
    type: list
    elements: str
    default: []
  hosts:
    description:
      - Hosts that Prosody has. Accounts of others are removed without it.
      - Without this option, it has all.
    type: list
    elements: str
attributes:
  check_mode:
    description: Tells what would change and changes nothing.
    support: full
  diff_mode:
    description: Names accounts and contacts, never a password or key.
    support: full
author: Vestibule contributors
"""

EXAMPLES = r"""
- name: configure | Register the accounts of Jicofo and the bridges
  prosody_account:
    accounts:
      focus@auth.meet.example.org: "{{ prosody_focus_password }}"
      jvb@auth.meet.example.org: "{{ prosody_bridge_password }}"
    roster:
      - user: focus@auth.meet.example.org
        contact: focus.meet.example.org
  no_log: true
  diff: false
"""

RETURN = r"""
accounts:
  description: What happened (in check mode, would happen) to each account.
  type: list
  elements: dict
  returned: success
  contains:
    jid:
      description: Address of the account.
      type: str
    state:
      description: C(unchanged), C(created), C(password_changed) or C(removed).
      type: str
roster:
  description: What happened (in check mode, would happen) to each roster entry.
  type: list
  elements: dict
  returned: success
  contains:
    user:
      description: Address of the account.
      type: str
    contact:
      description: Address of the contact.
      type: str
    state:
      description: C(unchanged) or C(subscribed).
      type: str
restart_needed:
  description: Whether a roster changed. A running Prosody keeps rosters in memory until a restart.
  type: bool
  returned: success
"""

if __name__ == "__main__":
    main()
