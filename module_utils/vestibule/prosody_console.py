"""The console of a Prosody that runs."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class Console:
    """Prosody's console, by prosodyctl."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._program = module.get_bin_path("prosodyctl")

    def say(self, line: str) -> str:
        """What it answers to a line, or why it does not; nothing where there is no program."""
        if self._program is None:
            return ""
        _, out, errors = self._module.run_command([self._program, "shell", line])
        return str(out + errors)
