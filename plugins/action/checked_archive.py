"""Action ``checked_archive``: get an archive and look into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from vestibule.archives import CONTENTS, ArchiveError, get

DOCUMENTATION = r"""
name: checked_archive
short_description: Get an archive and look into it, on the controller
description:
  - Fetches the archive unless its source is a path or the cache has it, and refuses one that is
    not what it is to be, or not safe to unpack as root.
  - What was seen in an archive is kept beside the fetched ones, so that it is read once.
  - Unpacks nothing, and changes nothing on a host. Runs in check mode as well.
options:
  content:
    description: What has to be in it, Jitsi's Prosody plugins or Jitsi's web client.
    type: str
    choices: [plugins, client]
    required: true
  source:
    description: Path of a tarball on the controller, or its address, which begins with https://.
    type: str
    required: true
  sha256:
    description: SHA-256 that the archive has to have. Required for an address.
    type: str
    default: ""
  cache:
    description: Folder on the controller where fetched archives are kept.
    type: path
    required: true
  timeout:
    description: Seconds that the server of the address has for each answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look into an archive
  checked_archive:
    content: plugins
    source: /srv/prosody-plugins.tar.gz
    cache: ~/.cache/vestibule
  register: archive
"""

RETURN = r"""
path:
  description: Where the archive is on the controller.
  type: str
  returned: success
sha256:
  description: SHA-256 of the archive, in hexadecimal digits.
  type: str
  returned: success
files:
  description: Names of the files in it, below its one top folder.
  type: list
  elements: str
  returned: success
options:
  description: Options that its modules of Prosody read, as C(module.option).
  type: list
  elements: str
  returned: success
"""

_ARGUMENTS: dict[str, Any] = {
    "content": {"type": "str", "choices": ["plugins", "client"], "required": True},
    "source": {"type": "str", "required": True},
    "sha256": {"type": "str", "default": ""},
    "cache": {"type": "path", "required": True},
    "timeout": {"type": "int", "default": 10},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.archives.get`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what `get` says, or fail with its sentence."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        source, sha256 = arguments["source"], arguments["sha256"]
        cache, timeout = Path(arguments["cache"]), arguments["timeout"]
        try:
            found = get(source, sha256, cache, timeout, CONTENTS[arguments["content"]])
        except ArchiveError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": False, **found}
