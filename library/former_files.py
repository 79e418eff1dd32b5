#!/usr/bin/python
"""Ansible module ``former_files``: forget the former configuration, or go back to it."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import config_files, former
from ansible.module_utils.vestibule.going_back import Host

DOCUMENTATION = r"""
module: former_files
short_description: Forget the former configuration, or go back to it
description:
  - M(config_files) and M(prosody_account) keep what they replace where they are told to. Once it is
    known that the new configuration is good, this module forgets what is kept.
  - Where it is not good, this module puts the former files back, has the services that read others
    read them, and looks whether each of them listens where it did before.
options:
  state:
    description: V(forgotten) after a success, V(back) after a failure.
    type: str
    choices: [forgotten, back]
    required: true
  services:
    description: Services that read the files, in the order in which they are started.
    type: list
    elements: str
    default: [prosody, nginx, coturn, jicofo, jitsi-videobridge2, jitsi-videobridge]
  timeout:
    description: Seconds until a service has to listen again.
    type: int
    default: 180
attributes:
  check_mode:
    description: Changes nothing, and says so.
    support: full
  diff_mode:
    description: The files are shown by the task that wrote them.
    support: none
"""

EXAMPLES = r"""
- name: Go back to the configuration that worked
  former_files: {state: back}
"""

RETURN = r"""
paths:
  description: Files that are as they were.
  returned: always
  type: list
  elements: str
restarted:
  description: Services that read them anew.
  returned: always
  type: list
  elements: str
proven:
  description: Whether each service that ran before the run does again.
  returned: always
  type: bool
said:
  description: All that in sentences, empty where there was nothing to go back to.
  returned: always
  type: str
"""


def restore(files: dict[str, dict[str, Any]]) -> list[str]:
    """Put these files back where they differ, all of them or none."""
    entries = [
        config_files.entry_of(path, known, former.body_of(known)) for path, known in files.items()
    ]
    for entry in entries:
        if config_files.unfinished(entry):
            config_files.undo(entry)
    others = [each for each in entries if config_files.differs(each, config_files.look(each.path))]
    config_files.apply([], others, lambda: None)
    return [entry.path for entry in others]


def make_as_old(files: dict[str, dict[str, Any]], paths: list[str]) -> None:
    """Let files look as old as they were, once all that reads them was told.

    What has read them before need not be told another time.
    """
    for path in paths:
        modified = files[path].get("modified")
        if modified is not None:
            os.utime(path, ns=(modified, modified))


def render(paths: list[str], restarted: list[str], missing: list[str], running: list[str]) -> str:
    """What was done and what came of it, for people."""
    if not paths and not restarted:
        return ""
    said = (
        f"This run has put the former configuration back ({len(paths)} files)."
        if paths
        else "The configuration is the former one."
    )
    if missing:
        said += (
            f" But {' and '.join(missing)} does not run with it as before: look at"
            f" `journalctl -u {missing[0]}` on the host."
        )
    else:
        said += f" {', '.join(running)} run with it, and listen where they did before."
    return said


def go_back(module: AnsibleModule) -> dict[str, Any]:
    """Put back, restart, look."""
    manifest = former.read()
    listeners: dict[str, list[str]] = manifest.get("listeners", {})
    names = [name for name in module.params["services"] if name in listeners]
    if not names:  # nothing ran, so nothing here is known to be good
        former.forget()
        return {"changed": False, "paths": [], "restarted": [], "proven": False, "said": ""}
    paths = restore(manifest["files"])
    host = Host(module)
    host.tell("daemon-reload")
    restarted = host.read_anew(names, manifest["began"], listeners, paths)
    make_as_old(manifest["files"], paths)
    missing = host.wait({name: listeners[name] for name in names}, module.params["timeout"])
    if not missing:
        former.forget()
    return {
        "changed": bool(paths or restarted),
        "paths": paths,
        "restarted": restarted,
        "proven": not missing,
        "said": render(paths, restarted, missing, names),
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the task says."""
    nothing = {"changed": False, "paths": [], "restarted": [], "proven": False, "said": ""}
    if module.check_mode or not former.is_kept():
        return nothing
    if module.params["state"] == "back":
        return go_back(module)
    former.forget()
    return nothing


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["forgotten", "back"], "required": True},
            "services": {
                "type": "list",
                "elements": "str",
                "default": [
                    "prosody",
                    "nginx",
                    "coturn",
                    "jicofo",
                    "jitsi-videobridge2",
                    "jitsi-videobridge",
                ],
            },
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        module.exit_json(**run(module))
    except (config_files.ConfigFilesError, OSError) as error:
        module.fail_json(msg=f"The former configuration could not be put back. {error}")


if __name__ == "__main__":
    main()
