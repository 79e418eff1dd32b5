"""What the command takes of the inventory is what the playbooks take."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from vestibule.command.deployment import GIVEN
from vestibule.tokens.address import PATHS

ROOT = Path(__file__).parents[2]


def test_the_model_is_made_of_the_same_variables() -> None:
    given = yaml.safe_load((ROOT / "playbooks/vars/model.yml").read_text("utf-8"))["__given"]
    _, _, said = given.partition("varnames', ")
    assert "".join(re.findall("'([^']*)'", said)) == GIVEN.pattern


def test_no_room_has_a_path_of_the_web_server() -> None:
    site = (ROOT / "roles/jitsi_web/templates/site.conf.j2").read_text("utf-8")
    host = site[site.rindex("\nserver {") :]
    own = set(re.findall("location = /([^/ ]+) ", host))
    assert {"http-bind", "config.js"} <= own <= PATHS
