"""The console of a Prosody that runs."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

# One line, as the console reads them; what a module raises comes back as an error of the line
_RELOAD = (
    "> local done, why = prosody.reload_config();"
    ' return done and "reloaded" or "refused: "..tostring(why)'
)


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


def reload(module: AnsibleModule) -> str:
    """Have the Prosody that runs read its configuration anew. Why it did not, or empty."""
    answer = Console(module).say(_RELOAD)
    if "Result: reloaded" in answer:
        return ""
    return (answer.strip().splitlines() or ["(nothing)"])[-1]  # the box above it is no reason
