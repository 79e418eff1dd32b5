"""Programs: which one runs a script, how to run one, and what it says when it fails."""

from __future__ import annotations

import os
import re

from ansible.module_utils.basic import AnsibleModule

# Words that can be parsed, any letter in what a program reads, and no questions of packages
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBIAN_PRIORITY": "critical",
}
_TELLING = re.compile(r"^(E|W|Err):|error|sudo:|not found|fail", re.IGNORECASE)
_SHOWN = 3  # lines of a reason


def interpreter(script: str) -> list[str]:
    """The argv that starts the interpreter of a script, from its first line. Empty without one."""
    first = script.split("\n", 1)[0]
    return first[2:].split() if first.startswith("#!") else []


def program(script: str) -> str | None:
    """Name or path of the program that a script runs on, not ``env``. None where it has none."""
    words = interpreter(script)
    if words and os.path.basename(words[0]) == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    return words[0] if words else None


def run(module: AnsibleModule, *argv: str, data: str | None = None) -> tuple[int, str]:
    """Exit status of a program, and what it printed, its errors last."""
    status, out, err = module.run_command(list(argv), data=data, environ_update=_ENVIRONMENT)
    return status, out + err


def reason(output: str) -> str:
    """Why a program failed, in one line: the last lines it printed that sound like it, or the last.

    Where a stack follows (Lua), what stands before it counts.
    """
    lines = [line.strip() for line in output.partition("\nstack traceback:")[0].splitlines()]
    lines = [line for line in lines if line]
    return " ".join(([line for line in lines if _TELLING.search(line)] or lines)[-_SHOWN:])
