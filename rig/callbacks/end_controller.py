"""Callback ``end_controller``: end a run as a crash does, at a task that its environment names."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: end_controller
type: aggregate
short_description: End a run as a crash does
description:
  - Writes the name of each task into the file RIG_TASKS, one a line, before it begins.
  - Before the task of the number or name RIG_END_AT, or RIG_END_AFTER seconds later, kills the
    controller with all its processes. What it began on servers goes on.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Counts tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "end_controller"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._tasks = Path(os.environ["RIG_TASKS"])
        self._tasks.write_text("", encoding="utf-8")
        self._end_at = os.environ.get("RIG_END_AT", "")
        self._end_after = float(os.environ.get("RIG_END_AFTER", "0"))
        self._count = 0

    def _begin(self, task: Any) -> None:
        with self._tasks.open("a", encoding="utf-8") as file:
            file.write(f"{task.get_name()}\n")
        self._count += 1
        if self._end_at not in (str(self._count), task.get_name()):
            return
        if self._end_after:
            threading.Timer(self._end_after, os.killpg, (0, signal.SIGKILL)).start()
        else:
            os.killpg(0, signal.SIGKILL)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Before a task."""
        del is_conditional
        self._begin(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Before a handler."""
        self._begin(task)
