"""Settings and modules that an inventory adds are those that Prosody takes."""

from __future__ import annotations

from typing import Any

import pytest

from vestibule.model import ModelError
from vestibule.model.compiler import build_model, compile_model
from vestibule.model.features import load_features
from vestibule.model.modules import extra_modules_fault
from vestibule.model.prosody_settings import check_module, check_setting, table

EVERYTHING = {
    "jitsi_domain": "meet.example.org",
    "jitsi_features": ["guests", "affiliation", "owner_party", "lobby", "tenants", "recording"],
}


def test_what_features_set_is_of_the_types_of_the_table() -> None:
    model = build_model(load_features(), EVERYTHING)["prosody"]
    places = {"all hosts": model["settings"]} | {
        name: host["settings"] for name, host in model["hosts"].items()
    }
    assert len(places) > 8
    for place, settings in places.items():
        for name, value in settings.items():
            check_setting(place, name, value, [])


def test_what_features_load_can_be_loaded_there() -> None:
    for name, host in build_model(load_features(), EVERYTHING)["prosody"]["hosts"].items():
        for module in host["modules"]:
            check_module(name, module, [], component=host["kind"] == "Component")


def test_a_name_is_of_one_type() -> None:
    names = [name for kind, listed in table().items() if "modules" not in kind for name in listed]
    assert len(names) > 400
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("muc_rate_joins", 10),
        ("muc_rate_joins", 0.5),
        ("smacks_hibernation_time", 60),
        ("smacks_hibernation_time", "1 day"),
        ("muc_log_by_default", False),
        ("restrict_room_creation", "local"),
        ("log_auth_ips", "all"),
        ("disable_sasl_mechanisms", []),
    ],
)
def test_what_prosody_takes_is_taken(name: str, value: Any) -> None:
    check_setting("here", name, value, [])


def test_what_is_almost_a_name_may_be_one_of_others() -> None:
    with pytest.raises(ModelError, match="Did you mean muc_rate_joins"):
        check_setting("here", "muc_rate_joinz", 1, [])
    check_setting("here", "muc_rate_joinz", 1, ["muc_rate_*"])


def test_a_module_has_to_be_somewhere() -> None:
    files = ["/usr/local/lib/prosody/modules/mod_log_auth/mod_log_auth.lua"]
    assert extra_modules_fault(["log_auth", "announce"], files, "meet") == ""
    said = extra_modules_fault(["log_auth", "other"], files, "meet")
    assert said.startswith("jitsi_extra_modules names other, and meet has no such module")


def test_a_module_with_a_hyphen_may_be_one_of_others() -> None:
    given = {
        "jitsi_domain": "meet.example.org",
        "jitsi_extra_modules": {"conference": ["muc_max-occupants"]},
    }
    with pytest.raises(ModelError, match="add it to jitsi_foreign_variables"):
        compile_model(given, given, "")
    foreign = {"jitsi_foreign_variables": ["muc_max-occupants"]}
    assert compile_model({**given, **foreign}, given, "")
