"""Callback ``closed_sources``: errors name the place in a file, and do not show its lines.

Ansible shows the lines before a template that it cannot render, and a secret may be among them.
"""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase

try:
    from vestibule.closed_sources import close
except ModuleNotFoundError:
    # The filter jitsi_model, which is asked first, says what is wrong
    def close() -> None:
        """Nothing: there is no secret without the package."""


DOCUMENTATION = r"""
name: closed_sources
type: aggregate
short_description: Name places in files, and show no lines of them
description:
  - Where Ansible cannot render a template or read a file of YAML, it shows the lines before, and
    what it could not render. A secret may be among them, so the place alone is named here.
  - It counts from the first play on. What Ansible reads before, as the list of hosts, is shown.
requirements:
  - Enable it as C(callbacks_enabled) in ansible.cfg.
"""


close()


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Listens to nothing: that it is loaded is enough."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "closed_sources"
    CALLBACK_NEEDS_ENABLED = True
