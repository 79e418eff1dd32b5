"""Services that read other files than before: told to read them anew, and looked at afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import prosody_console, prosody_reloads, services
from ansible.module_utils.vestibule.services import Service

_POLL = 0.2  # seconds between two looks
_OF_PROSODY = ("/etc/prosody/", "/var/lib/prosody/")


def is_as_before(service: Service, listeners: list[str]) -> bool:
    """Whether it runs and listens where it did."""
    return service.is_up and service.listeners == frozenset(listeners)


class Host:
    """The services of the host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._systemctl = module.get_bin_path("systemctl", required=True)

    def look(self, names: list[str]) -> dict[str, Service]:
        """These services, by name."""
        return {each.name: each for each in services.look(self._module, names)}

    def tell(self, *words: str) -> None:
        """Have systemd do something; whether it helped is seen afterwards."""
        self._module.run_command([self._systemctl, *words])

    def read_anew(
        self,
        names: list[str],
        began: float,
        listeners: dict[str, list[str]],
        paths: Iterable[str] = (),
    ) -> list[str]:
        """Restart or reload those that do not run as before, or may have read other files.

        ``paths`` are files that are back in their former state. Prosody reads them again where it
        was not restarted: somebody else may have had it reload meanwhile.
        """
        started = began - (time.time() - time.monotonic())
        rereads = any(path.startswith(_OF_PROSODY) for path in paths)
        done: list[str] = []
        restarted: list[str] = []
        for name in names:
            service = self.look([name]).get(name, Service(name))
            fits = is_as_before(service, listeners[name])
            if fits and service.started < started and name == "nginx":
                self.tell("reload", name)
            elif (
                not fits
                or service.started >= started
                or (name == "jicofo" and "prosody" in restarted)
                or (name == "prosody" and prosody_reloads.unread([], service.started))
                or (name == "prosody" and rereads and prosody_console.reload(self._module))
            ):
                self.tell("reset-failed", name)
                self.tell("restart", name)
                restarted.append(name)
            elif not (name == "prosody" and rereads):
                continue
            done.append(name)
        return done

    def wait(self, listeners: dict[str, list[str]], seconds: int) -> list[str]:
        """Names of the services that do not run as before within this time."""
        end = time.monotonic() + seconds
        while True:
            now = self.look(list(listeners))
            missing = [
                name
                for name, known in listeners.items()
                if not is_as_before(now.get(name, Service(name)), known)
            ]
            if not missing or time.monotonic() >= end:
                return missing
            time.sleep(_POLL)
