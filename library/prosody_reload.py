#!/usr/bin/python
"""Ansible module ``prosody_reload``: have Prosody read its configuration again."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import prosody_console, prosody_reloads, services

DOCUMENTATION = r"""
module: prosody_reload
short_description: Have Prosody read its configuration and its certificates again
description:
  - Tells a running Prosody by its console to reload, and returns when it has done so. All sessions
    stay. Fails where Prosody does not answer, refuses its configuration, or a module does not take
    it.
  - Notes what was read, for this process of Prosody alone, so that nobody restarts it because these
    files are newer than its start.
options:
  files:
    description:
      - Files that Prosody has read completely thereby, as RV(config_files#module:rereads) names
        them.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Says that it would reload.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Have new certificates shown
  prosody_reload:
"""

RETURN = r"""
read:
  description: Files that are noted as read.
  type: list
  elements: str
  returned: success
  sample: [/etc/prosody/conf.avail/meet.example.org.cfg.lua]
"""


def run(module: AnsibleModule) -> dict[str, Any]:
    """Reload, and note what was read."""
    if module.check_mode:
        return {"changed": True, "read": []}
    running = [each for each in services.look(module, ["prosody"]) if each.active == "active"]
    read = {path: prosody_reloads.digest(path) for path in module.params["files"]}
    if running and read:  # it may fail when some modules have their new settings already
        prosody_reloads.note(running[0].started, dict.fromkeys(read, prosody_reloads.UNKNOWN))
    said = prosody_console.reload(module) if running else "Prosody does not run."
    if said:
        module.fail_json(
            msg=f"Prosody did not take its new configuration. It said: {said}"
            " Look at `journalctl -u prosody`."
        )
    prosody_reloads.note(running[0].started, read)
    return {"changed": True, "read": list(read)}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "path", "default": []}},
        supports_check_mode=True,
    )
    module.exit_json(**run(module))


if __name__ == "__main__":
    main()
