"""The console of a Prosody that runs."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class Console:
    """Prosody's console, by prosodyctl."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._program = module.get_bin_path("prosodyctl")

    def say(self, line: str) -> str:
        """What it answers to a line, nothing where nobody is there."""
        if self._program is None:
            return ""
        status, out, errors = self._module.run_command([self._program, "shell", line])
        return out + errors if status == 0 or "Result:" in out + errors else ""
