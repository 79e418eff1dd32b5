"""Each contradiction is refused with its reason, whoever brings it about."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from vestibule.model import ModelError
from vestibule.model.compiler import build_model
from vestibule.model.features import load_features
from vestibule.model.rules import load_rules

DOMAIN = {"jitsi_domain": "meet.example.org"}
RULES = load_rules().rules


def modules(host: str, *names: str) -> dict[str, Any]:
    return {"jitsi_extra_modules": {host: list(names)}}


def settings(host: str, **values: Any) -> dict[str, Any]:
    return {"jitsi_extra_settings": {host: values}}


def features(*names: str) -> dict[str, Any]:
    return {"jitsi_features": list(names)}


# What an operator can write
BY_THE_INVENTORY = {
    "jicofo_login_with_affiliation": {
        **features("guests", "jicofo_login"),
        **modules("conference", "token_affiliation"),
    },
    "nobody_moderates": {"jitsi_features_off": ["first_is_owner"]},
    "auto_owner_with_affiliation": modules("conference", "token_affiliation"),
    "wait_for_host_promotes": {
        **features("affiliation"),
        **modules("conference", "muc_wait_for_host"),
    },
    "guest_smacks": {**features("guests"), **modules("guest", "smacks")},
    "tenants_without_domain_verification": {
        **features("tenants"),
        "jitsi_token_domain_verification": False,
    },
    "watching_without_domain_verification": {
        **features("watching"),
        "jitsi_token_domain_verification": False,
    },
    "lobby_always_without_bypass": modules("conference", "lobby_always"),
    "owner_party_without_affiliation": modules("conference", "owner_party"),
    "other_muc_prefix": settings("conference", muc_mapper_domain_prefix="meetings"),
    "empty_token": {**features("guests"), **settings("guest", allow_empty_token=True)},
    "breakout_token_verification": modules("breakout", "token_verification"),
    "jicofo_without_verification": {
        "jitsi_extra_jicofo": {"xmpp": {"client": {"disable-certificate-verification": True}}}
    },
    "jicofo_without_tls": {"jitsi_extra_jicofo": {"xmpp": {"client": {"use-tls": False}}}},
    "jicofo_login_without_its_feature": {
        "jitsi_features_off": ["first_is_owner"],
        "jitsi_extra_jicofo": {"authentication": {"enabled": True}},
    },
    "web_port_of_others": {"jitsi_web_port": 5280},
    "web_proxy_port_of_others": {
        "jitsi_web_port": 8443,
        "jitsi_web_proxy_port": 8443,
        "jitsi_web_trusted_proxies": ["192.0.2.7/32"],
    },
    "web_proxy_port_without_proxies": {"jitsi_web_proxy_port": 8081},
    "videobridge_port_of_others": {"jitsi_videobridge_port": 3478},
    "turn_port_of_others": {"jitsi_web_port": 8443, "jitsi_turn_tls_port": 8443},
    "turn_port_of_bridges": {"jitsi_turn_port": 10000},
    "turn_relays_without_ports": {
        "jitsi_turn_relay_min_port": 50000,
        "jitsi_turn_relay_max_port": 50008,
    },
    "turn_relays_have_the_port": {"jitsi_turn_relay_min_port": 9000},
    "turn_by_the_name_of_the_pages": {
        **features("turn_on_443"),
        "jitsi_turn_443_name": DOMAIN["jitsi_domain"],
    },
    "turn_on_the_port_of_a_proxy": {
        **features("turn_on_443"),
        "jitsi_web_trusted_proxies": ["192.0.2.7/32"],
    },
    "turn_quota_of_one_is_that_of_all": {
        "jitsi_turn_user_quota": 200,
        "jitsi_turn_total_quota": 100,
    },
    "token_secret_in_the_hosts_file": settings("conference", app_secret="x" * 40),
}

# What an operator can write where groups of the inventory split the server: theirs, and variables
BY_GROUPS: dict[str, tuple[dict[str, list[str]], dict[str, Any]]] = {
    "turn_on_443_elsewhere": ({"turn": ["relay.example.org"]}, features("turn_on_443")),
}

MUC = {"kind": "Component", "component": "muc", "purpose": "a test"}
_CONFERENCE = ("prosody", "hosts", "conference")
_MAIN = ("prosody", "hosts", "main")

# What only a change of a feature file could bring about: feature, place, new content
BY_A_FEATURE: dict[str, tuple[str, tuple[str, ...], Any]] = {
    "guests_not_on_the_allowlist": (
        "tokens",
        (*_CONFERENCE, "settings", "token_verification_allowlist"),
        ["guest.other.example.org"],
    ),
    "hyphen_in_a_muc_prefix": (
        "lobby",
        ("prosody", "hosts", "second"),
        {**MUC, "name": "conf-1.meet.example.org", "settings": {"storage": "memory"}},
    ),
    "storage_of_a_muc": (
        "lobby",
        ("prosody", "hosts", "second"),
        {**MUC, "name": "second.meet.example.org", "settings": {"storage": "internal"}},
    ),
    "no_room_claim": ("tokens", (*_MAIN, "settings", "asap_require_room_claim"), False),
    "any_issuer_or_audience": (
        "tokens",
        (*_MAIN, "settings", "asap_accepted_audiences"),
        ["jitsi", "*"],
    ),
    "no_token_verification": ("tokens", (*_CONFERENCE, "guards"), []),
    "focus_is_no_admin": ("base", (*_CONFERENCE, "settings", "admins"), ["jvb@auth.example.org"]),
}


def refusal(
    known: dict[str, Any], given: dict[str, Any], inventory: dict[str, Any] | None = None
) -> str:
    with pytest.raises(ModelError) as refused:
        build_model(known, {**DOMAIN, **given}, inventory=inventory)
    return str(refused.value)


def sentence(name: str) -> str:
    return f"{RULES[name]['reason']} {RULES[name]['instead']}"


def test_every_rule_is_tried() -> None:
    assert len(RULES) >= 19
    assert {*BY_THE_INVENTORY, *BY_GROUPS, *BY_A_FEATURE} == set(RULES)


@pytest.mark.parametrize("name", BY_THE_INVENTORY)
def test_an_inventory_is_refused(name: str) -> None:
    message = refusal(load_features(), BY_THE_INVENTORY[name])
    assert message == sentence(name)
    assert "jitsi_" in message  # the variable to change


@pytest.mark.parametrize(
    "given",
    [
        {"jitsi_web_port": 5349},
        {"jitsi_web_trusted_proxies": ["192.0.2.7/32"], "jitsi_web_proxy_port": 5349},
        {
            "jitsi_web_trusted_proxies": ["192.0.2.7/32"],
            "jitsi_web_port": 8081,
            "jitsi_web_proxy_port": 8081,
        },
    ],
)
def test_a_port_of_two_is_refused_by_their_names_and_not_offered(given: dict[str, Any]) -> None:
    message = refusal(load_features(), given)
    for variable, value in given.items():
        if isinstance(value, int):
            assert variable in message
            assert str(value) not in message


@pytest.mark.parametrize("name", BY_GROUPS)
def test_groups_of_an_inventory_are_refused(name: str) -> None:
    groups, given = BY_GROUPS[name]
    hosts = ["meet", *(host for group in groups.values() for host in group)]
    domains = dict.fromkeys(hosts, DOMAIN["jitsi_domain"])
    inventory = {"host": "meet", "groups": {"all": hosts, **groups}, "domains": domains}
    assert refusal(load_features(), given, inventory) == sentence(name)


@pytest.mark.parametrize("name", BY_A_FEATURE)
def test_a_feature_file_is_refused(name: str) -> None:
    feature, (*path, last), content = BY_A_FEATURE[name]
    changed = copy.deepcopy(load_features())
    place = changed[feature]
    for key in path:
        place = place.setdefault(key, {})
    place[last] = content
    given = features("guests", "lobby")
    assert build_model(load_features(), {**DOMAIN, **given})
    assert refusal(changed, given) == sentence(name)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (features("affiliation", "guests", "jicofo_login"), "every token holder a moderator"),
        (features("affiliation", "first_is_owner"), "whose token does not make them owner"),
        (features("jicofo_login", "guests", "first_is_owner"), "every token holder a moderator"),
        (features("owner_party"), "requires affiliation. Add affiliation"),
        (features("lobby_always", "affiliation"), "requires lobby. Add lobby"),
        (features("jicofo_login"), "requires guests. Add guests"),
    ],
)
def test_features_that_do_not_fit_are_refused(given: dict[str, Any], words: str) -> None:
    message = refusal(load_features(), given)
    assert words in message
    assert "Remove one of them" in message or "or remove" in message


def test_a_module_beside_a_login_of_jicofo_is_named_where_it_stands() -> None:
    given = {**features("guests", "jicofo_login"), **modules("conference", "token_affiliation")}
    assert "remove token_affiliation from jitsi_extra_modules" in refusal(load_features(), given)


@pytest.mark.parametrize(
    ("host", "setting", "remedy"),
    [
        ("conference", "asap_key_server", "Set it on the host main"),
        ("conference", "app_id", "Remove it: it is settled on the host main"),
        ("conference", "asap_accepted_issuers", "Remove it: it is settled on the host main"),
        ("conference", "enable_domain_verification", "Remove it: it is settled on the host main"),
        ("conference", "allow_empty_token", "Remove it: it is settled on the host main"),
        ("main", "token_verification_allowlist", "Remove it: it is settled on the host conference"),
        ("main", "wait_for_host_disable_auto_owners", "Set it on the host conference"),
        ("speakerstats", "muc_access_whitelist", "Set it on the host conference"),
    ],
)
def test_a_setting_where_nothing_reads_it_is_refused(host: str, setting: str, remedy: str) -> None:
    message = refusal(load_features(), settings(host, **{setting: ["x"]}))
    assert (
        f"jitsi_extra_settings sets {setting} on the host {host}, where nothing reads it" in message
    )
    assert remedy in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (settings("conference", storage="internal"), "Both the feature base and jitsi_extra_sett"),
        # A setting that is a mapping has one owner as well
        (
            settings("main", storage="internal"),
            r"Both .* set prosody.hosts.main.settings.storage\.",
        ),
        (settings("conference", storage={"pep": "internal"}), r"conference.settings.storage\."),
        *(
            (settings(host, **{name: value}), f"settings.{host} sets {name}, which is settled for")
            for host, name, value in [
                ("main", "http_cors_override", {"bosh": {"enabled": True}}),
                ("conference", "muc_mapper_domain_base", "example.org"),
                ("conference", "modules_disabled", ["muc_hide_all"]),
                ("conference", "modules_enabled", []),
                ("main", "fail_closed_required", {}),
            ]
        ),
        (settings("conferense", x=1), "'conferense', which is not deployed. Did you mean confere"),
        (modules("guest", "extra"), "the host 'guest', which is not deployed"),
        (modules("main", "mod_extra.lua"), "jitsi_extra_modules.main must be a list of names"),
        ({"jitsi_extra_modules": {"main": "extra"}}, "jitsi_extra_modules.main must be a list"),
        ({"jitsi_extra_modules": ["extra"]}, "jitsi_extra_modules must map hosts"),
        ({"jitsi_extra_settings": "x"}, "jitsi_extra_settings must map hosts"),
        ({"jitsi_extra_settings": {"main": ["x"]}}, "jitsi_extra_settings.main must map"),
        (settings("main", **{"x = 1 --": 1}), "names of settings"),
        (settings("main", x=None), "jitsi_extra_settings.main.x has no value"),
        (settings("main", x={"y": [None]}), "jitsi_extra_settings.main.x has no value"),
    ],
)
def test_extras_keep_to_the_rules(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        build_model(load_features(), {**DOMAIN, **given})


def test_extras_reach_their_host() -> None:
    given = {**modules("main", "announce", "bosh"), **settings("conference", muc_rate_joins=10)}
    hosts = build_model(load_features(), {**DOMAIN, **given})["prosody"]["hosts"]
    assert hosts["conference.meet.example.org"]["settings"]["muc_rate_joins"] == 10
    assert hosts["meet.example.org"]["modules"][-1] == "announce"
    assert hosts["meet.example.org"]["modules"].count("bosh") == 1


def test_a_host_that_no_file_names_is_a_mistake() -> None:
    known = {
        **load_features(),
        "extra": {"summary": "x", "prosody": {"hosts": {"conferense": {"modules": ["x"]}}}},
    }
    message = refusal(known, features("extra"))
    assert "prosody.hosts.conferense has no name in any feature file. Did you mean conf" in message


def test_what_a_chosen_feature_requires_cannot_be_switched_off() -> None:
    known = {**load_features(), "extra": {"summary": "x", "requires": ["polls"]}}
    given = {**features("extra"), "jitsi_features_off": ["polls"]}
    assert "jitsi_features_off has polls, which extra requires" in refusal(known, given)
