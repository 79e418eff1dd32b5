#!/usr/bin/python
"""Ansible module ``service_running``: a service runs and starts at boot, or says why not."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import before, services
from ansible.module_utils.vestibule.services import Service

DOCUMENTATION = r"""
module: service_running
short_description: Have a service run and start at boot
description:
  - Starts a service of systemd that does not run, and enables it. It is looked at as it is - a
    process that lives and listens -, so one that systemd merely believes to be active is restarted.
  - Clears the count of starts first, so that one that systemd gave up gets another chance.
  - Fails with the last lines of its log where it does not come up.
options:
  name:
    description: Name of the service, without C(.service).
    type: str
    required: true
  state:
    description:
      - With V(restarted) or V(reloaded) it reads its configuration anew.
      - Where its unit was written since it started, a reload would go on without that, so it is
        restarted.
      - A reload that leaves the old processes at work, as nginx does with a configuration that it
        cannot use, is a failure.
    type: str
    choices: [started, restarted, reloaded]
    default: started
  wait:
    description: Whether to wait until it listens. Otherwise somebody else looks.
    type: bool
    default: true
  listener:
    description: Address and port on which it has to listen, any where this is empty.
    type: str
    default: ""
  timeout:
    description: Seconds to wait.
    type: int
    default: 60
  log:
    description: File in which it writes why it does not come up, beside the journal.
    type: path
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Changes nothing that has a text.
    support: none
"""

EXAMPLES = r"""
- name: Start Jicofo
  service_running:
    name: jicofo
    listener: 127.0.0.1:8888
    timeout: 180
    log: /var/log/jitsi/jicofo.log
"""

RETURN = r"""
done:
  description: What was done, in order; C(enabled), C(started), C(restarted) or C(reloaded).
  returned: always
  type: list
  elements: str
  sample: [started]
found:
  description: What the service was like, in words for people.
  returned: always
  type: str
  sample: active (exited), no process, listens nowhere
"""

_POLL = 0.2  # seconds between two looks
_YOUNG = 60  # seconds in which a service may still be on its way
_LOOP = 3  # restarts by systemd after which a service is taken for one that cannot start
_TOOK = 6  # seconds in which a reload shows in new processes; nginx tries to bind for 2.5
_TAIL = 65536  # bytes at the end of a log that are read
_SHOWN = 6  # lines of it
_WIDTH = 240  # characters of a line
_TELLING = re.compile(
    r"emerg|error|exception|severe|caused by|cannot|could not|invalid|unable|no such|fail",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"eyJ[\w-]*(?:\.[\w-]*){0,2}")


class NotUpError(Exception):
    """A sentence for the operator, with the lines that show why."""


def describe(service: Service) -> str:
    """What a service is like, in words."""
    state = f"{service.active} ({service.sub})"
    process = f"process {service.main or service.processes[0]}" if service.processes else ""
    where = ", ".join(sorted(service.listeners))
    return f"{state}, {process or 'no process'}, listens {f'on {where}' if where else 'nowhere'}"


def telling(text: str) -> list[str]:
    """The last lines that sound like a reason, or the last ones, fit to be shown."""
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in text.splitlines()]
    lines = [_TOKEN.sub("(token removed)", line.strip())[:_WIDTH] for line in lines if line.strip()]
    chosen = [line for line in lines if _TELLING.search(line)] or lines
    return list(dict.fromkeys(chosen))[-_SHOWN:]


class Unit:
    """The service of a task, and what is done to it."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self.name: str = module.params["name"]
        self._systemctl = module.get_bin_path("systemctl", required=True)
        self._log: str | None = module.params["log"]
        self._began = time.time()
        self._size = self._log_size()

    def _log_size(self) -> int:
        return os.path.getsize(self._log) if self._log and os.path.exists(self._log) else 0

    def look(self) -> Service:
        """The service as it is now."""
        found = services.look(self._module, [self.name])
        return found[0] if found else Service(self.name)

    def tell(self, *words: str) -> None:
        """Have systemd do something. Raises NotUpError where it refuses."""
        argv = [self._systemctl, *words]
        status, out, err = self._module.run_command(argv)
        if status != 0:
            raise NotUpError(f"`{' '.join(argv)}` failed: {(err or out).strip()}\n{self.why()}")

    def why(self) -> str:
        """What it logged since this task began, by both ways."""
        since = f"--since=@{int(self._began)}"  # never later
        argv = ["journalctl", f"--unit={self.name}", since, "--quiet", "--no-pager", "-o", "cat"]
        lines = telling(self._module.run_command(argv)[1])
        if self._log and os.path.exists(self._log):
            with open(self._log, "rb") as file:
                size = self._log_size()
                start = self._size if self._size <= size else 0  # it was rotated
                file.seek(max(start, size - _TAIL))
                lines = telling(file.read().decode("utf-8", "replace")) + lines
        if not lines:
            lines = ["(it logged nothing)"]
        logs = f"journalctl --unit={self.name}" + (f" and {self._log}" if self._log else "")
        return "\n".join([*(f"  {line}" for line in lines), f"The whole log: {logs}"])

    def wait(self, listener: str, seconds: int) -> None:
        """Until it is up. Raises NotUpError early where it will not be."""
        end = time.monotonic() + seconds
        restarts = self.look().restarts
        while True:
            service = self.look()
            if service.is_up and (not listener or listener in service.listeners):
                return
            where = f" on {listener}" if listener else ""
            if service.active == "failed":
                raise NotUpError(f"{self.name} does not start.\n{self.why()}")
            if service.restarts - restarts >= _LOOP:
                raise NotUpError(f"{self.name} ends again after each start.\n{self.why()}")
            if time.monotonic() >= end:
                raise NotUpError(
                    f"{self.name} does not listen{where} within {seconds} s; it is"
                    f" {describe(service)}.\n{self.why()}"
                )
            time.sleep(_POLL)

    def wait_for_reload(self, before: Service) -> None:
        """Until new processes work. Raises NotUpError where the old ones stay."""
        end = time.monotonic() + _TOOK
        while not set(self.look().processes) - set(before.processes):
            if time.monotonic() >= end:
                raise NotUpError(
                    f"{self.name} keeps its former configuration, as it cannot use the new one.\n"
                    f"{self.why()}"
                )
            time.sleep(_POLL)


def refuse_impossible(service: Service) -> None:
    """What only the operator can decide."""
    if service.is_masked:
        raise NotUpError(
            f"{service.name}.service is masked, so nothing can start it. Run `systemctl unmask"
            f" {service.name}` on the host if it may run again."
        )
    if service.load == "not-found":
        raise NotUpError(f"There is no unit {service.name}.service. Install its package first.")


def steps(service: Service, state: str) -> list[str]:
    """What has to be done to a service."""
    needed = [] if service.starts_at_boot else ["enabled"]
    if state == "reloaded" and service.is_up and service.has_other_unit:
        return [*needed, "restarted"]
    if state == "restarted" or (state == "reloaded" and service.is_up):
        return [*needed, state]
    if service.is_up:
        return needed
    return [*needed, "restarted" if service.active == "active" else "started"]


def is_coming(service: Service, now: float) -> bool:
    """Whether it has just been started, by the boot of the host for example."""
    return bool(service.processes) and now - service.started < _YOUNG


_WORDS = {"started": "start", "restarted": "restart", "reloaded": "reload"}


def act(unit: Unit, before: Service, todo: list[str], params: dict[str, Any]) -> None:
    """Do it, and look whether it helped."""
    unit.tell("daemon-reload")
    if "enabled" in todo:
        unit.tell("enable", unit.name)
    for step in todo:
        if step in _WORDS:
            if step != "reloaded":
                unit.tell("reset-failed", unit.name)
            unit.tell(_WORDS[step], unit.name)
    if "reloaded" in todo:
        unit.wait_for_reload(before)
    if params["wait"]:
        unit.wait(params["listener"], params["timeout"])


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, and act where something is missing. Raises NotUpError."""
    unit = Unit(module)
    service = unit.look()
    todo = steps(service, module.params["state"])
    if module.params["state"] == "started" and is_coming(service, time.monotonic()):
        todo = [step for step in todo if step == "enabled"]
    if not module.check_mode:
        refuse_impossible(service)
        if todo:
            runs, enabled = service.active == "active", service.starts_at_boot
            before.note_unit(module, unit.name, enabled=enabled, runs=runs)
            act(unit, service, todo, module.params)
        elif module.params["wait"]:
            unit.wait(module.params["listener"], module.params["timeout"])
    return {"changed": bool(todo), "done": todo, "found": describe(service)}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"choices": ["started", "restarted", "reloaded"], "default": "started"},
            "wait": {"type": "bool", "default": True},
            "listener": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 60},
            "log": {"type": "path"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LC_ALL": "C", "LANGUAGE": "C"}
    try:
        module.exit_json(**run(module))
    except (NotUpError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
