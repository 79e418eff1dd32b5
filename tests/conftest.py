"""What every test needs: the project's Python on the path, and a way to run a module."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from ansible.module_utils.vestibule import before
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = [
    *(ROOT / name for name in ("library", "scripts")),
]
sys.path[:0] = [str(folder) for folder in PLUGINS]

# How fast a machine is says nothing of the code
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_notes_on_this_machine(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What modules note before they write goes elsewhere."""
    monkeypatch.setattr(before, "PLACE", str(tmp_path_factory.mktemp("before")))


@pytest.fixture
def run_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Run the ``main`` of a module with its options, and get the result of the task.

    ``_ansible_check_mode``, ``_ansible_diff`` and the like are options as well.
    """
    # Once a test has imported a controller's plugin, Ansible prints warnings of modules instead of
    # returning them. On a target it never does.
    monkeypatch.setattr(_internal, "is_controller", False)

    def run(module: ModuleType, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(warnings, "_global_warnings", {})
        capsys.readouterr()
        with patch_module_args(options), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return run
