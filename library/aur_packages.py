#!/usr/bin/python
"""Ansible module ``aur_packages``: have a helper build packages of the AUR, never as root."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import tempfile
from contextlib import nullcontext
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, package_locks
from ansible.module_utils.vestibule.managers import parse_info
from ansible.module_utils.vestibule.programs import reason

DOCUMENTATION = r"""
module: aur_packages
short_description: Build packages of the AUR with a helper, never as root
description:
  - Arch's user repository (AUR) has recipes, no packages. A helper like C(paru) or C(yay) fetches
    them, builds as a user and has pacman install the result through C(sudo).
  - The helper runs as in a login of that user, without a terminal and without input, so that
    nothing can ask and wait for an answer.
options:
  names:
    description: Packages to build.
    type: list
    elements: str
    required: true
  versions:
    description: Exact versions asked for, for C(checked). A helper builds only the latest.
    type: dict
    default: {}
  program:
    description: Name or path of the helper. It takes C(-S) and C(-Si) as pacman does.
    type: str
    required: true
  user:
    description: User who builds. Never root, by whatever name.
    type: str
    required: true
  state:
    description:
      - C(present) builds and installs.
      - C(checked) tells whether that could work, and which versions it would bring.
    type: str
    choices: [present, checked]
    default: present
  timeout:
    description: Seconds that a build may take.
    type: int
    default: 3600
  variable:
    description: Name of the variable with program and user, for the sentences.
    type: str
    required: true
attributes:
  check_mode:
    description: Looks whether user and helper are there, and builds nothing.
    support: full
"""

EXAMPLES = r"""
- name: Have the helper build what the distribution does not have
  aur_packages:
    names: [jicofo-bin]
    program: paru
    user: builder
    variable: jitsi_tokens_aur_helper
"""

RETURN = r"""
building:
  description: What was built; of what would be, the versions as well.
  type: list
  elements: str
  returned: success
  sample: [jicofo-bin 1.0.1149-1]
output:
  description: The last lines of what the helper said.
  type: list
  elements: str
  returned: when it failed
"""

_ANSWER = 60  # seconds for a question that the helper may pass on to the AUR
_GRACE = 10  # seconds between asking a build to end and making it end
_SHOWN = 100  # lines of a failed build
_LOGIN = ["sh", "-lc", 'exec "$@"', "sh"]  # with the PATH that the user has otherwise
_OF_ROOT = ("XDG_", "SUDO_")


class BuildError(Exception):
    """A sentence for the operator, and what the helper said."""

    def __init__(self, sentence: str, output: str = "") -> None:
        super().__init__(sentence)
        self.output = output.splitlines()[-_SHOWN:]


def judge(names: list[str], versions: dict[str, str], offered: dict[str, str], program: str) -> str:
    """The sentence for packages that cannot be built as asked, empty where all can."""
    for name in names:
        if name not in offered:
            return (
                f"{program} finds no package {name}. Correct its name (jitsi_tokens_plugins_package"
                ", jicofo_package, jitsi_videobridge_package or jitsi_web_package), or"
                " install it by hand."
            )
        if versions.get(name, offered[name]) != offered[name]:
            return (
                f"{name} {versions[name]} is no longer offered; {program} builds only"
                f" {offered[name]}. Correct jitsi_versions, or remove {name} from it."
            )
    return ""


def _end(process: subprocess.Popen[Any]) -> None:
    """End a program with everything that it started."""
    os.killpg(process.pid, signal.SIGTERM)  # pacman ends once it has done what it began
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Helper:
    """The helper, in the hands of its user."""

    def __init__(self, program: str, user: str, variable: str) -> None:
        self._program, self._user, self._variable = program, user, variable
        self._home = "/"

    def _run(self, *argv: str, timeout: int = _ANSWER) -> tuple[int | None, str]:
        """Exit code and words of a program, None where it did not come to an end in time."""
        kept = {name: os.environ[name] for name in os.environ if not name.startswith(_OF_ROOT)}
        # Into a file: what a build leaves running would hold a pipe open
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words,
            subprocess.Popen(
                ["runuser", "-u", self._user, "--", *_LOGIN, *argv],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env={**kept, "LC_ALL": "C"},
                start_new_session=True,  # without a terminal, and to be ended as a whole
            ) as process,
        ):
            status = None
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                _end(process)
            words.seek(0)
            return status, words.read()

    def look(self) -> None:
        """Whether user and helper are there and may do what they have to. Raises BuildError."""
        user, variable = self._user, self._variable
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise BuildError(
                f"This host has no user {user}. Create one who may run pacman through sudo, or"
                f" correct {variable}.user."
            ) from None
        if entry.pw_uid == 0:
            raise BuildError(
                f"{variable}.user is {user}, which is root on this host. Name another user: a"
                " build runs code that nobody has reviewed, so it never runs as root."
            )
        self._home = entry.pw_dir
        if not os.path.isdir(self._home):
            raise BuildError(
                f"{user} has no home directory on this host, and helpers work in it. Create"
                f" {self._home}, or correct {variable}.user."
            )
        if self._run("sh", "-c", 'command -v -- "$1"', "sh", self._program)[0] != 0:
            raise BuildError(
                f"{user} has no {self._program} on this host. Install it there, let that user"
                f" run it, or correct {variable}.program."
            )
        status, output = self._run("sudo", "-n", "pacman", "--version")
        if status != 0:
            raise BuildError(
                f"{user} may not run pacman through sudo without a password on this host, as"
                f" helpers do. Allow it with visudo ({user} ALL=(root) NOPASSWD: /usr/bin/pacman),"
                f" or build the packages there by hand. It said: {reason(output)}"
            )

    def offered(self, names: list[str]) -> dict[str, str]:
        """Version by name of what the helper would build. Raises BuildError."""
        status, output = self._run(self._program, "-Si", *names)
        offered = parse_info(output)
        if status != 0 and not offered:
            raise BuildError(
                f"{self._program} cannot tell what the AUR has of {', '.join(names)}. Try"
                f" `{self._program} -Si {names[0]}` as {self._user}. It said: {reason(output)}"
            )
        return offered

    def build(self, names: list[str], timeout: int) -> None:
        """Build and install. Raises BuildError."""
        call = [self._program, "-S", "--needed", "--noconfirm", *names]
        status, output = self._run(*call, timeout=timeout)
        remedy = f"Try `{' '.join(call)}` as {self._user} on this host."
        if status is None:
            raise BuildError(
                f"{self._program} has not built {', '.join(names)} within {timeout} s. {remedy} If"
                " it is only slow, raise jitsi_tokens_aur_timeout.",
                output,
            )
        if status != 0:
            raise BuildError(
                f"{self._program} cannot build {', '.join(names)}. {remedy} It said:"
                f" {reason(output)}",
                output,
            )
        if self._run("pacman", "-Q", *names)[0] != 0:
            raise BuildError(
                f"{self._program} ended without an error, but did not install {', '.join(names)}."
                f" {remedy}",
                output,
            )


def run(options: dict[str, Any], helper: Helper, look_only: bool) -> dict[str, Any]:
    """Look, or build. Raises BuildError."""
    names = options["names"]
    helper.look()
    if options["state"] == "present":
        if not look_only:
            with package_locks.held_by_us():  # for a run that comes after one that was cut off
                helper.build(names, options["timeout"])
        return {"changed": True, "building": names}
    offered = helper.offered(names)
    sentence = judge(names, options["versions"], offered, options["program"])
    if sentence:
        raise BuildError(sentence)
    return {"changed": False, "building": [f"{name} {offered[name]}" for name in names]}


def main() -> None:
    """Ansible's shell around `run`."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "versions": {"type": "dict", "default": {}},
            "program": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "checked"], "default": "present"},
            "timeout": {"type": "int", "default": 3600},
            "variable": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    helper = Helper(options["program"], options["user"], options["variable"])
    builds = options["state"] == "present" and not module.check_mode
    noted = before.installing(module, options["names"]) if builds else nullcontext()
    try:
        with noted:
            result = run(options, helper, module.check_mode)
        module.exit_json(**result)
    except BuildError as error:
        module.fail_json(msg=str(error), output=error.output)


if __name__ == "__main__":
    main()
