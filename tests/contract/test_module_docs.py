"""What ``ansible-doc`` tells of a plugin is what the plugin takes."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic

ROOT = Path(__file__).parents[2]
MODULES = sorted(ROOT.glob("library/*.py"))
SHARED = sorted(ROOT.glob("module_utils/**/*.py"))
ACTIONS = sorted(ROOT.glob("plugins/action/*.py"))
PLUGINS = [
    (kind, path.stem)
    for kind in ("filter", "lookup")
    for path in sorted(ROOT.glob(f"{kind}_plugins/*.py"))
]
FACTS = ("type", "elements", "required", "default", "choices")


def _taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options in the argument_spec of a module."""
    module = importlib.import_module(path.stem)
    taken: dict[str, Any] = {}

    def stop(self: object, argument_spec: dict[str, Any], **more: object) -> None:
        taken.update(argument_spec)
        sys.exit()

    monkeypatch.setattr(basic.AnsibleModule, "__init__", stop)
    with pytest.raises(SystemExit):
        module.main()
    return taken


def _documented(path: Path) -> dict[str, Any]:
    source = path.read_text(encoding="utf-8")
    text = source.split('DOCUMENTATION = r"""', 1)[1].split('"""', 1)[0]
    options: dict[str, Any] = yaml.safe_load(text)["options"]
    return options


def _facts(options: dict[str, Any], inner: str) -> dict[str, Any]:
    """What both sides say of every option, in one form. `inner` is their key of suboptions."""
    defaults = {"type": "str", "required": False, "default": None, "elements": None}
    return {
        name: {
            **{fact: option.get(fact, defaults.get(fact)) for fact in FACTS},
            "options": _facts(option.get(inner) or {}, inner),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_takes_what_it_documents(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _facts(_taken(path, monkeypatch), "options")
    assert taken
    assert _facts(_documented(path), "suboptions") == taken


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.stem)
def test_an_action_takes_what_it_documents(path: Path) -> None:
    taken = _facts(importlib.import_module(f"plugins.action.{path.stem}")._ARGUMENTS, "options")
    assert taken
    assert _facts(_documented(path), "suboptions") == taken


@pytest.mark.parametrize("path", MODULES + SHARED, ids=lambda path: path.stem)
def test_a_module_parses_on_the_oldest_python_of_a_target(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("kind", ["filter", "lookup", "module", "action"])
def test_ansible_doc_shows_every_plugin(kind: str) -> None:
    names = [name for each, name in PLUGINS if each == kind]
    if kind == "module":
        names = [path.stem for path in ROOT.glob("library/*.py")]
    options = ["-t", kind]
    if kind == "action":  # ansible-doc reads them where it looks for modules
        names = [path.stem for path in ACTIONS]
        options = ["-t", "module", "-M", "plugins/action"]
    assert names
    shown = subprocess.run(
        [sys.executable, "-m", "ansible", "doc", "--json", *options, *names],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(shown.stdout)
    for name in names:
        assert found[name]["doc"]["options"], name
        assert found[name]["examples"].strip(), name
        assert found[name]["return"], name
