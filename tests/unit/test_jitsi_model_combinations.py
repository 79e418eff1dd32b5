"""Combinations of features: the allowed keep the contract, and all others are refused.

All of those that say who gets in and who moderates, each with every pair of the others on or off.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vestibule.access.cases import CASES
from vestibule.model import ModelError
from vestibule.model.compiler import build_model
from vestibule.model.features import ALWAYS_ON, load_features

ROOT = Path(__file__).parents[2]
DOMAIN = {"jitsi_domain": "meet.example.org"}

# They add a host of their own and do nothing else, which is tested below: all on or all off
PLAIN = frozenset({"av_moderation", "end_conference", "filesharing", "polls", "speakerstats"})

# They add machines to every list of them, which is tested below: all on or all off
MACHINES = frozenset({"recording", "sip_gateway"})

# It adds an issuer, a file of keys and a tenant to those that there are: all on or all off
WATCHED = frozenset({"watching"})

# It adds one entry to what turn tells people: on with these, where turn is
WITH_TURN = frozenset({"turn_on_443"})

# They say who gets in and who moderates, and allow or forbid one another: every combination
DECIDING = frozenset(
    {
        *("affiliation", "first_is_owner", "guests", "jicofo_login"),
        *("lobby", "lobby_always", "owner_party"),
    }
)

OURS = frozenset(
    path.stem.removeprefix("mod_") for path in ROOT.glob("roles/jitsi_tokens/files/*/mod_*.lua")
)
PROSODY = frozenset({"bosh", "external_services", "muc", "ping", "smacks", "websocket"})
# Of jitsi/jitsi-meet, resources/prosody-plugins, August 2026
UPSTREAM = frozenset(
    {
        "av_moderation_component",
        "client_proxy",
        "conference_duration",
        "end_conference",
        "features_identity",
        "filesharing_component",
        "filter_iq_jibri",
        "filter_iq_rayo",
        "limits_exception",
        "muc_breakout_rooms",
        "muc_domain_mapper",
        "muc_filter_access",
        "muc_hide_all",
        "muc_lobby_rooms",
        "muc_max_occupants",
        "muc_meeting_id",
        "muc_password_whitelist",
        "muc_rate_limit",
        "muc_resource_validate",
        "muc_wait_for_host",
        "persistent_lobby",
        "polls_component",
        "rate_limit",
        "room_metadata_component",
        "speakerstats_component",
        "token_affiliation",
        "token_verification",
    }
)
# Where upstream reads what: the token module on the host of the login, the rest in the MUC
ON_MAIN = ("app_id", "asap_", "allow_empty_token", "enable_domain_verification")
ON_CONFERENCE = ("token_verification_allowlist", "wait_for_host_disable_auto_owners")


def interacting() -> list[str]:
    # Not those that an inventory brings, in tests/unit/test_deployment.py
    chosen = {name for name, each in load_features().items() if "group" not in each}
    return sorted(chosen - set(ALWAYS_ON) - PLAIN - MACHINES - WATCHED - WITH_TURN)


def is_allowed(on: frozenset[str]) -> bool:
    """The contract in words of its own."""
    return (
        len(on & {"affiliation", "jicofo_login", "first_is_owner"}) == 1
        and ("jicofo_login" not in on or "guests" in on)
        and ("owner_party" not in on or "affiliation" in on)
        and ("lobby_always" not in on or {"lobby", "affiliation"} <= on)
        and ("turn_on_443" not in on or "turn" in on)
    )


def subsets(names: frozenset[str], *sizes: int) -> list[frozenset[str]]:
    return [
        frozenset(some) for size in sizes for some in itertools.combinations(sorted(names), size)
    ]


def combinations() -> Iterator[frozenset[str]]:
    others = frozenset(interacting()) - DECIDING
    few = subsets(others, 0, 1, 2)
    pairs = dict.fromkeys([*few, *(others - each for each in few)])
    for deciding in subsets(DECIDING, *range(len(DECIDING) + 1)):
        for each in pairs:
            some = deciding | each
            yield some
            more = WITH_TURN if "turn" in some else frozenset()
            yield some | PLAIN | MACHINES | WATCHED | more


def test_those_that_decide_are_those_that_allow_or_forbid_one_another() -> None:
    features = {name: each for name, each in load_features().items() if "group" not in each}
    about: set[str] = set()
    for name, each in features.items():
        if others := {*each.get("conflicts", ()), *each.get("requires", ())}:
            about |= {name, *others}
    assert about - WITH_TURN - {"turn"} == DECIDING


def inventory(on: frozenset[str]) -> dict[str, Any]:
    defaults = {name for name, each in load_features().items() if each.get("default")}
    return {
        **DOMAIN,
        "jitsi_features": sorted(on),
        "jitsi_features_off": sorted(defaults - on),
    }


@functools.cache
def models() -> dict[frozenset[str], dict[str, Any]]:
    features = load_features()
    return {on: build_model(features, inventory(on)) for on in combinations() if is_allowed(on)}


def hosts_of(model: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    keys = {address: key for key, address in model["names"].items()}
    keys[model["names"]["domain"]] = "main"
    for name, host in model["prosody"]["hosts"].items():
        yield keys[name], host


def test_there_are_thousands() -> None:
    assert len(models()) > 2000


def test_the_features_are_those_asked_for() -> None:
    assert not [on for on, model in models().items() if set(model["features"]) != on | {*ALWAYS_ON}]


def test_every_other_combination_is_refused() -> None:
    features = load_features()
    forbidden = [on for on in combinations() if not is_allowed(on)]
    assert forbidden
    taken = []
    for on in forbidden:
        try:
            build_model(features, inventory(on))
        except ModelError:
            continue
        taken.append(sorted(on))
    assert taken == []


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_plain_component_is_a_host_and_nothing_else(name: str) -> None:
    features = load_features()
    everything = build_model(features, DOMAIN)
    without = build_model(features, {**DOMAIN, "jitsi_features_off": [name]})
    hosts, fewer = everything["prosody"].pop("hosts"), without["prosody"].pop("hosts")
    assert len(hosts) == len(fewer) + 1
    assert fewer.items() <= hosts.items()
    required = [
        model["prosody"]["settings"].pop("fail_closed_required") for model in (everything, without)
    ]
    assert required[1].items() <= required[0].items()
    assert len(required[0]) == len(required[1]) + 1
    for part in ("prosody", "jicofo", "web"):
        assert everything[part] == without[part]
    others = {each: content for each, content in features.items() if each != name}
    assert f"'{name}'" not in repr(others).replace(f"'{name}_component'", "")


def test_every_module_is_known() -> None:
    modules = {
        module
        for model in models().values()
        for _, host in hosts_of(model)
        for module in [*host["modules"], host.get("component", "muc")]
    }
    assert len(modules) > 30
    assert sorted(modules - OURS - UPSTREAM - PROSODY) == []


def test_every_case_is_known() -> None:
    cases = {case for model in models().values() for case in model["cases"]}
    assert len(cases) > 50
    assert sorted(cases - set(CASES)) == []


def test_every_option_is_where_it_is_read() -> None:
    seen = {
        (key, setting)
        for model in models().values()
        for key, host in hosts_of(model)
        for setting in host["settings"]
    }
    main = {key for key, setting in seen if setting.startswith(ON_MAIN)}
    conference = {key for key, setting in seen if setting.startswith(ON_CONFERENCE)}
    assert (main, conference) == ({"main"}, {"conference"})


def test_the_doors_of_every_combination_are_shut() -> None:
    for on, model in models().items():
        hosts = dict(hosts_of(model))
        main, conference = hosts["main"], hosts["conference"]
        mucs = [host for host in hosts.values() if host.get("component") == "muc"]
        assert len(mucs) >= 3
        assert {host["settings"].get("storage") for host in mucs} == {"memory"}, on
        assert main["settings"]["allow_empty_token"] is False
        assert main["settings"]["asap_require_room_claim"] is True
        assert "token_guard" in main["guards"]
        assert "token_verification" in conference["guards"]
        assert "token_verification" not in hosts.get("breakout", main)["modules"]
        assert model["names"]["focus_user"] in conference["settings"]["admins"]
        assert ("guest" in hosts) == ("guests" in on)
        # Machines have no token either
        allowed = conference["settings"]["token_verification_allowlist"]
        guests = [model["names"]["guest"]] if "guests" in on else []
        assert allowed == machines_of(model) + guests
        if "guests" in on:
            assert "smacks" not in hosts["guest"]["modules"], on
            assert conference["settings"]["wait_for_host_disable_auto_owners"] is True


# Where a machine that enters a meeting is asked who it is: host, option. Those of features that are
# off are not there, all others name every machine
DOORS = {
    ("main", "muc_lobby_whitelist"),
    ("conference", "token_verification_allowlist"),
    ("conference", "muc_password_whitelist"),
    ("conference", "guest_hosts"),
    ("conference", "muc_access_whitelist"),
    ("breakout", "guest_hosts"),
    ("internal", "muc_filter_whitelist"),
    ("internal", "local_login_hosts"),
    ("internal", "machine_guard_breweries"),
}
DOORS_OF = {"muc_access_whitelist": "max_occupants"}


def machines_of(model: Mapping[str, Any]) -> list[str]:
    return [machine["host"] for machine in model["machines"].values()]


def doors_of(model: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    """Every list or mapping of the model that has a machine in it, and which ones it has."""
    machines = set(machines_of(model))
    tables = [
        ("", model["prosody"]["settings"]),
        ("jicofo", model["jicofo"]["xmpp"]),
        *((key, host["settings"]) for key, host in hosts_of(model)),
    ]
    for key, settings in tables:
        for option, value in settings.items():
            # What has to be loaded on each host is no door
            if isinstance(value, list | dict) and option != "fail_closed_required":
                found = machines & {each for each in value if isinstance(each, str)}
                if found:
                    yield (key, option), frozenset(found)


def expected_doors(model: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {
        ("", "machine_hosts"),
        ("", "service_hosts"),
        ("jicofo", "trusted-domains"),
        *(
            (key, option)
            for key, option in DOORS
            if DOORS_OF.get(option, "base") in model["features"]
            and (key != "breakout" or key in model["features"])
        ),
    }


def test_a_machine_passes_every_door_or_none() -> None:
    for on, model in models().items():
        doors = dict(doors_of(model))
        assert set(doors.values()) == {frozenset(machines_of(model))}, on
        assert doors.keys() == expected_doors(model), on


@pytest.mark.parametrize("one", sorted(MACHINES))
def test_so_does_one_kind_of_machine_alone(one: str) -> None:
    everything = {"guests", "affiliation", "owner_party", "lobby", "max_occupants", "breakout"}
    for on in ({"first_is_owner"}, everything):
        model = build_model(load_features(), inventory(frozenset({*on, one})))
        doors = dict(doors_of(model))
        assert set(doors.values()) == {frozenset(machines_of(model))}
        assert doors.keys() == expected_doors(model)


def test_no_machine_shares_a_host_with_others() -> None:
    for model in models().values():
        owners = {machine["host"]: kind for kind, machine in model["machines"].items()}
        assert len(owners) == len(model["machines"])
        assert model["names"]["auth"] not in owners
        for host in owners:
            assert {"local_login", "machine_requests"} <= set(
                model["prosody"]["hosts"][host]["guards"]
            )


def test_machines_are_held_in_every_muc() -> None:
    for on, model in models().items():
        hosts = dict(hosts_of(model))
        mucs = {key: host for key, host in hosts.items() if host.get("component") == "muc"}
        assert all("machine_guard" in host["guards"] for host in mucs.values()), on
        closed = {key for key, host in mucs.items() if host["settings"].get("machine_guard_closed")}
        assert closed == mucs.keys() - {"conference", "internal"}, on
        breweries = mucs["internal"]["settings"]["machine_guard_breweries"]
        assert list(breweries) == [*machines_of(model), model["names"]["auth"]]


def test_one_thing_decides_who_moderates() -> None:
    for on, model in models().items():
        conference = dict(hosts_of(model))["conference"]
        jicofo = model["jicofo"]
        deciding = {
            "affiliation": "token_affiliation" in conference["modules"],
            "jicofo_login": jicofo.get("authentication", {}).get("enabled", False),
            "first_is_owner": jicofo.get("conference", {}).get("enable-auto-owner", False),
        }
        assert {name for name, does in deciding.items() if does} == on & set(deciding)


def test_the_order_in_the_inventory_changes_nothing() -> None:
    features = load_features()
    wanted = ["guests", "affiliation", "owner_party", "lobby", "lobby_always"]
    made = [
        repr({**build_model(features, {**DOMAIN, "jitsi_features": list(order)}), "options": {}})
        for order in itertools.permutations(wanted)
    ]
    assert len(set(made)) == 1


@pytest.mark.parametrize("tenants", [[], ["acme"]])
def test_the_watch_has_a_key_and_a_tenant_of_its_own(tenants: list[str]) -> None:
    features = load_features()
    given = {**DOMAIN, "jitsi_features": ["tenants"], "jitsi_tenants": tenants}

    def settings(**more: Any) -> dict[str, Any]:
        hosts = build_model(features, {**given, **more})["prosody"]["hosts"]
        main = hosts["meet.example.org"]["settings"]
        return {**main, **hosts["conference.meet.example.org"]["settings"]}

    before = settings()
    after = settings(jitsi_features=["tenants", "watching"])
    changed = {name for name in after if after[name] != before.get(name)}
    listed = {"token_guard_tenants", "muc_reserved_but_tenants"} if tenants else set()
    assert changed == {"asap_accepted_issuers", "token_keys_others", *listed}
    assert set(after["asap_accepted_issuers"]) - set(before["asap_accepted_issuers"]) == {
        "vestibule-watch"
    }
    for name in listed:
        assert after[name] == [*before[name], "vestibule-watch"]
