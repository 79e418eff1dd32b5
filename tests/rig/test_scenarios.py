"""Scenarios are thin: what they share is the rig's, and what they name is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rig.images import IMAGES
from rig.podman import ROOT
from vestibule.access.cases import CASES
from vestibule.model.compiler import compile_model

SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
RIG = ROOT / "rig"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_are_scenarios_and_nothing_else() -> None:
    assert SCENARIOS
    assert sorted((ROOT / "molecule").iterdir()) == SCENARIOS


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_a_scenario_is_two_short_files(folder: Path) -> None:
    # Controllers keep hidden things there while the servers of other tests run
    kept = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert kept == {"group_vars", "hosts.yml", "molecule.yml"}
    assert (folder / "group_vars").resolve() == RIG / "group_vars"
    for name in ("hosts.yml", "molecule.yml"):
        assert len((folder / name).read_text("utf-8").splitlines()) <= 25, name


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_what_a_scenario_names_is_there(folder: Path) -> None:
    scenario, group = load(folder / "molecule.yml"), load(folder / "hosts.yml")["rig"]
    assert scenario["scenario"]["name"] == folder.name
    playbooks = scenario.get("ansible", {}).get("playbooks", {})
    own = [group["vars"]["rig_own_tests"]] if "rig_own_tests" in group.get("vars", {}) else []
    hosts = [host or {} for host in group["hosts"].values()]
    assert hosts
    for path in playbooks.values():
        assert (ROOT / path.removeprefix("${MOLECULE_PROJECT_DIRECTORY}/")).exists()
    for host in hosts:
        assert host.get("rig_image", "debian13") in IMAGES
        for tests in (*host.get("rig_tests", ["deployed"]), *own):
            assert list((ROOT / "tests/servers" / tests).glob("test_*.py")), tests


def test_every_folder_of_tests_is_run_by_a_scenario() -> None:
    text = "".join((folder / "hosts.yml").read_text("utf-8") for folder in SCENARIOS)
    text += (RIG / "group_vars/rig.yml").read_text("utf-8")
    folders = [
        path.name for path in (ROOT / "tests/servers").iterdir() if list(path.glob("test_*"))
    ]
    assert folders
    assert [name for name in folders if name not in text] == []


def test_few_cases_have_one_for_each_feature() -> None:
    few = set(load(RIG / "few_cases.yml")["rig_few_cases"])
    assert few <= CASES.keys()
    played = [
        folder for folder in SCENARIOS if "few_cases" in (folder / "molecule.yml").read_text()
    ]
    assert played
    for folder in played:
        for feature in load(folder / "hosts.yml")["rig"]["vars"]["jitsi_features"]:
            proves = load(ROOT / f"features/{feature}.yml")["proves"]
            names = {each if isinstance(each, str) else each["case"] for each in proves}
            assert few & names, feature


def test_the_servers_of_the_modules_play_what_their_platforms_play_nowhere_else() -> None:
    cases = {}
    for name in ("modules", "guests", "debian12"):
        wanted = load(ROOT / f"molecule/{name}/hosts.yml")["rig"]["vars"]
        cases[name] = set(compile_model(wanted, (), "")["cases"])
    executor = load(ROOT / "molecule/modules/molecule.yml")["ansible"]["executor"]
    variables = executor["args"]["ansible_playbook"][-1].removeprefix("--extra-vars=")
    assert cases["guests"] == cases["debian12"]
    assert (
        set(yaml.safe_load(variables)["jitsi_verify_cases"]) == cases["modules"] - cases["guests"]
    )
