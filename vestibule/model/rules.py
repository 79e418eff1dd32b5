"""What must not hold of a model: the contradictions in ``contradictions.yml``."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import ChainableUndefined

from vestibule.model import ModelError, beside
from vestibule.model.expressions import environment
from vestibule.model.features import LOADER

FILE = "contradictions.yml"


class _Absent(ChainableUndefined):
    """What a rule asks for and the model does not have: false, empty, and so is what is in it."""


class Rules:
    """The contradictions in a file: conditions over the compiled model that must not hold."""

    def __init__(self, path: Path) -> None:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
        self.rules: dict[str, dict[str, str]] = content["contradictions"]
        self._read_on = [
            (re.compile("|".join(each["settings"])), each) for each in content["read_on"]
        ]
        # One expression for all: each has a price of its own in Jinja
        together = ", ".join(f"({rule['when']})" for rule in self.rules.values())
        self._evaluate = environment(_Absent).compile_expression(f"[{together}]")

    def check(self, hosts: Mapping[str, Any], model: Mapping[str, Any]) -> None:
        """Refuses a model. ``hosts`` are its hosts of Prosody by key."""
        for key, host in hosts.items():
            for setting in host["settings"]:
                for pattern, place in self._read_on:
                    if pattern.fullmatch(setting) and host.get(place["attribute"]) != place["is"]:
                        added = model["options"]["extra_settings"]
                        raise ModelError(_not_read(setting, key, place, hosts, added))
        suffix = f".{model['names']['domain']}"
        mucs = [
            {**host, "prefix": host["name"].removesuffix(suffix)}
            for host in hosts.values()
            if host.get("component") == "muc"
        ]
        holds = self._evaluate({**model, "hosts": hosts, "mucs": mucs}) or []
        for rule, held in zip(self.rules.values(), holds, strict=True):
            if held:
                raise ModelError(f"{rule['reason']} {rule['instead']}")


def _not_read(
    setting: str,
    key: str,
    place: Mapping[str, str],
    hosts: Mapping[str, Any],
    added: Mapping[str, Any],
) -> str:
    """The sentence for a setting that is on the wrong host. ``added`` are those of the operator."""
    who = "jitsi_extra_settings" if setting in added.get(key, {}) else "A feature"
    settled = any(
        setting in host["settings"] and setting not in added.get(name, {})
        for name, host in hosts.items()
        if host.get(place["attribute"]) == place["is"]
    )
    remedy = "Remove it: it is settled on" if settled else "Set it on"
    return (
        f"{who} sets {setting} on the host {key}, where nothing reads it. {remedy}"
        f" {place['instead']}."
    )


@functools.cache
def load_rules(folder: str = "") -> Rules:
    """The contradictions beside that folder of features, ``contradictions.yml`` by default."""
    return Rules(Path(folder).with_name(FILE) if folder else beside(FILE))
