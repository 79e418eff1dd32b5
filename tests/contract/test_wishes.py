"""What a look can answer is asked in the look, and its task runs where the answer says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import look

ROOT = Path(__file__).parents[2]
ROLES = [path.parents[1] for path in sorted((ROOT / "roles").glob("*/tasks/check.yml"))]
# After Prosody refused an archive, which no look knows
UNASKED = {"Back | Link the previous plugins"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or []


def wishes(role: Path) -> dict[str, str]:
    """Module by name of what a role wishes for."""
    path = role / "vars/main.yml"
    found = load(path).get(f"{role.name}_wishes", {}) if path.exists() else {}
    return {name: module for name, modules in found.items() for module in modules}


def tasks(role: Path) -> Iterator[dict[str, Any]]:
    """Tasks of a role that have a module which can be looked at."""
    blocks = [each for path in sorted(role.glob("tasks/*.yml")) for each in load(path)]
    for each in blocks:  # grows on the way
        blocks += each.get("block", [])
        if look._MODULES.keys() & each.keys() and each["name"] not in UNASKED:
            yield each


def test_the_playbook_joins_the_wishes_of_all_roles() -> None:
    names = {f"{role.name}_wishes" for role in ROLES if wishes(role)}
    assert len(names) > 3
    joined = load(ROOT / "playbooks/vars/model.yml")["__wishes_of"]["signalling"]
    assert set(re.findall(r"\w+_wishes", joined)) == names
    assert joined.index("jitsi_history_wishes") == min(map(joined.index, names))


def test_the_playbook_goes_on_to_the_proof_where_no_role_has_more_to_do() -> None:
    variables = {role.name: role / "vars/main.yml" for role in ROLES}
    pending = {
        f"{name}_pending"
        for name, path in variables.items()
        if path.exists() and f"{name}_pending" in load(path)
    }
    deployed = (ROOT / "playbooks/tasks/deploy.yml").read_text(encoding="utf-8")
    roles = set(
        re.findall(r"import_role: {name: (\w+), tasks_from: (?:start|configure|hold)}", deployed)
    )
    assert pending == {f"{name}_pending" for name in roles}
    model = load(ROOT / "playbooks/vars/model.yml")
    assert model["__pending_of"]["signalling"] == {
        name.removesuffix("_pending"): f"{{{{ {name} }}}}" for name in pending
    }
    settled = model["vestibule_all_settled"]
    assert "vestibule_pending.values() | select | list == []" in settled


def test_what_the_model_hands_on_is_set_nowhere_else() -> None:
    """Facts and what is included count more than the variables of plays, tasks and roles."""
    once = set(load(ROOT / "playbooks/vars/model.yml"))
    once |= {"vestibule_idle"}
    given = set()
    pages = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]
    blocks = [each for path in pages if path.parent.name != "vars" for each in load(path)]
    for each in blocks:  # grows on the way
        blocks += [
            task for kind in ("tasks", "block", "rescue", "always") for task in each.get(kind, [])
        ]
        if not [word for word in each if "include_" in word]:  # these count more yet
            given |= set(each.get("vars", {}))
    assert given
    assert not once & given


def test_nobody_leaves_a_play_that_still_asks_who_is_lost() -> None:
    """Who has left a play is lost to all others in it (``vestibule_lost``)."""
    read = 0
    for play in load(ROOT / "playbooks/site.yml") + load(ROOT / "playbooks/decide.yml"):
        leaves = False
        for task in play.get("tasks", []):
            said = json.dumps(task)
            asks = any(word in said for word in ("vestibule_lost", "vestibule_without", "together"))
            assert not (leaves and asks), f"{play['name']}: {task['name']}"
            ends = task.get("ansible.builtin.meta") == "end_host"
            leaves = leaves or (ends and "vestibule_parts | length == 1" not in said)
            read += asks
    assert read > 3


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_task_that_can_be_looked_at_has_its_wish(role: Path) -> None:
    asked = set()
    for task in tasks(role):
        (module,) = look._MODULES.keys() & task.keys()
        wish = re.match(rf"\{{\{{ {role.name}_wishes\.(\w+)\.{module}\b", str(task[module]))
        assert wish, f"{task['name']}: its options are no wish"
        if f"'{wish[1]}' not in __{role.name}_settled" in json.dumps(task["when"]):
            asked.add((wish[1], module))
    assert asked == set(wishes(role).items())
    assert all(name.startswith(role.name) for name, _ in asked)
