"""Every role variable is documented, typed and has the default that its spec promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vestibule.model.role_variables import CHECKS

ROLES = sorted(each.parent for each in (Path(__file__).parents[2] / "roles").glob("*/tasks"))
IDS = [role.name for role in ROLES]
_TYPES = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict, "float": float}


def _spec(role: Path) -> dict[str, Any]:
    content = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, Any] = content["argument_specs"]["main"]["options"]
    return options


def _defaults(role: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (role / "defaults/main.yml").read_text(encoding="utf-8")
    )
    return content


def test_what_an_operator_may_set_has_a_check() -> None:
    """Unless its choices are all that can be said of it, or a playbook works it out."""
    playbook = ROLES[0].parents[1] / "playbooks/vars/model.yml"
    worked_out = set(yaml.safe_load(playbook.read_text(encoding="utf-8")))
    free = {
        name
        for role in ROLES
        for name, spec in _spec(role).items()
        if name not in worked_out and "choices" not in spec
    }
    assert len(free) > 40
    assert free == set(CHECKS)


def test_there_are_roles() -> None:
    assert len(ROLES) >= 6


@pytest.mark.parametrize("role", ROLES, ids=IDS)
def test_defaults_are_those_of_the_spec(role: Path) -> None:
    promised = {name: spec["default"] for name, spec in _spec(role).items() if "default" in spec}
    assert promised
    assert _defaults(role) == promised


@pytest.mark.parametrize("role", ROLES, ids=IDS)
def test_what_has_no_default_is_required(role: Path) -> None:
    without = {name for name, spec in _spec(role).items() if "default" not in spec}
    assert without == {name for name, spec in _spec(role).items() if spec.get("required")}


@pytest.mark.parametrize("role", ROLES, ids=IDS)
def test_every_variable_has_the_roles_prefix_and_a_sentence(role: Path) -> None:
    for name, spec in _spec(role).items():
        assert name.startswith(f"{role.name}_")
        assert spec["description"].endswith("."), name
        if "default" in spec:
            assert isinstance(spec["default"], _TYPES[spec["type"]]), name


@pytest.mark.parametrize("role", ROLES, ids=IDS)
def test_secrets_have_no_choices_and_are_not_logged(role: Path) -> None:
    for name, spec in _spec(role).items():
        if re.search(r"password|secret|accounts$|_given$|_token$", name):
            assert spec.get("no_log") is True, name
            assert "choices" not in spec, name


@pytest.mark.parametrize("role", ROLES, ids=IDS)
def test_every_empty_default_has_a_sample(role: Path) -> None:
    text = (role / "defaults/main.yml").read_text(encoding="utf-8")
    for name, value in _defaults(role).items():
        if value in ([], {}):
            assert re.search(rf"^{name}: [\[{{][\]}}]\n#  ", text, re.MULTILINE), name
