#!/usr/bin/python
"""Ansible module ``bridge_drain``: let a bridge run empty, or take meetings again."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: bridge_drain
short_description: Let a bridge run empty, or take meetings again
description:
  - Asks a videobridge on this host, by its private HTTP, how many people it has, and tells it
    whether Jicofo shall prefer others for new meetings. Meetings that it has stay.
  - A restart of the bridge ends that.
options:
  address:
    description: Where its private HTTP listens.
    type: str
    default: 127.0.0.1
  port:
    description: TCP port of it.
    type: int
    default: 8080
  state:
    description:
      - C(drained) leaves new meetings to others, C(open) takes them. C(asked) changes nothing.
    type: str
    choices: [drained, open, asked]
    default: asked
  timeout:
    description: Seconds that it has for an answer.
    type: int
    default: 10
attributes:
  check_mode:
    description: Tells what would be told to the bridge.
    support: full
"""

EXAMPLES = r"""
- name: Leave new meetings to other bridges
  bridge_drain: {state: drained}
"""

RETURN = r"""
people:
  description: How many people are on the bridge.
  type: int
  returned: always
meetings:
  description: How many meetings these are in.
  type: int
  returned: always
drains:
  description: Whether it leaves new meetings to others.
  type: bool
  returned: always
"""


class Silent(Exception):
    """The bridge does not answer, or not as one does."""


def gauge(text: str, name: str) -> int:
    """The value of one of the bridge's metrics. Raises Silent where it is not among them."""
    found = re.search(
        rf"^jitsi_jvb_{name}(?:\{{[^}}]*\}})? (\d+)(?:\.\d+)?(?: |$)", text, re.MULTILINE
    )
    if not found:
        raise Silent(f"it tells no number of {name}")
    return int(found[1])


class Bridge:
    """The private HTTP of a bridge."""

    def __init__(self, address: str, port: int, timeout: int) -> None:
        host = f"[{address}]" if ":" in address else address
        self._home, self._timeout = f"http://{host}:{port}", timeout
        # No proxy of the environment stands before a loopback
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def ask(self, path: str, method: str = "GET") -> str:
        """The body of an answer. Raises Silent."""
        request = urllib.request.Request(  # noqa: S310 — of our own making
            self._home + path, method=method, headers={"Accept": "text/plain"}
        )
        if path == "/colibri/drain":
            request.add_header("Accept", "application/json")
        try:
            with self._open(request, timeout=self._timeout) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except (OSError, urllib.error.URLError) as error:
            raise Silent(f"{method} {path}: {error}") from None

    def drains(self) -> bool:
        """Whether it leaves new meetings to others."""
        try:
            return bool(json.loads(self.ask("/colibri/drain"))["drain"])
        except (ValueError, KeyError, TypeError):
            raise Silent("it does not tell whether it drains") from None


def run(module: AnsibleModule) -> dict[str, Any]:
    """Look, and tell it what it does not do yet. Raises Silent."""
    bridge = Bridge(*(module.params[name] for name in ("address", "port", "timeout")))
    drains = bridge.drains()
    wanted = {"drained": True, "open": False, "asked": drains}[module.params["state"]]
    if wanted != drains and not module.check_mode:
        bridge.ask(f"/colibri/drain/{'enable' if wanted else 'disable'}", "POST")
        drains = bridge.drains()
        if drains != wanted:
            raise Silent("it does not do as it was told")
        changed = True
    else:
        changed = wanted != drains
    metrics = bridge.ask("/metrics")
    return {
        "changed": changed,
        "people": gauge(metrics, "local_endpoints"),
        "meetings": gauge(metrics, "conferences"),
        "drains": drains,
    }


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 8080},
            "state": {"choices": ["drained", "open", "asked"], "default": "asked"},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except Silent as error:
        module.fail_json(
            msg=f"The bridge does not answer at {module.params['address']} port"
            f" {module.params['port']}: {error}. Look at its journal and /var/log/jitsi/jvb.log."
        )


if __name__ == "__main__":
    main()
