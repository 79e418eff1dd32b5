"""The model: features merge as documented, and what makes no sense is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vestibule.model import ModelError
from vestibule.model.compiler import build_model
from vestibule.model.features import check_names, choose, load_features

FEATURES = Path(__file__).parents[2] / "features"
DOMAIN = {"jitsi_domain": "meet.example.org"}
# One character more than the longest component leaves
LONG_DOMAIN = ".".join([*["a" * 59] * 3, "b" * 60])


@pytest.fixture(name="features")
def _features() -> dict[str, Any]:
    return load_features(str(FEATURES))


@pytest.fixture(name="model")
def _model(features: dict[str, Any]) -> dict[str, Any]:
    return build_model(features, DOMAIN)


def with_feature(features: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """The real features and one more, called ``extra``."""
    return {**features, "extra": {"summary": "For this test.", **extra}}


def test_every_muc_keeps_its_rooms_in_memory(model: dict[str, Any]) -> None:
    mucs = [host for host in model["prosody"]["hosts"].values() if host.get("component") == "muc"]
    assert len(mucs) == 4
    assert {host["settings"].get("storage") for host in mucs} == {"memory"}


def test_no_muc_prefix_has_a_hyphen(model: dict[str, Any]) -> None:
    names = [name for name in model["names"].values() if name.endswith(".meet.example.org")]
    assert names
    assert not [name for name in names if "-" in name.removesuffix(".meet.example.org")]


def test_tokens_are_verified_at_login_and_at_the_join(model: dict[str, Any]) -> None:
    hosts = model["prosody"]["hosts"]
    main = hosts["meet.example.org"]
    assert main["settings"]["authentication"] == "token"
    assert main["settings"]["allow_empty_token"] is False
    assert "token_guard" in main["modules"]
    assert "token_verification" in hosts["conference.meet.example.org"]["modules"]
    assert "token_verification" not in hosts["breakout.meet.example.org"]["modules"]


def test_prosody_stops_without_a_guard(model: dict[str, Any]) -> None:
    required = model["prosody"]["settings"]["fail_closed_required"]
    assert "fail_closed" in model["prosody"]["modules"]
    assert "token_verification" in required["conference.meet.example.org"]
    assert "muc_filter_access" in required["internal.auth.meet.example.org"]
    assert required["auth.meet.example.org"] == ["local_login", "focus_address", "machine_requests"]


def test_room_creation_is_restricted_on_the_first_line(model: dict[str, Any]) -> None:
    # The maintainer script of jitsi-meet-prosody looks at the two lines below the Component
    settings = model["prosody"]["hosts"]["conference.meet.example.org"]["settings"]
    assert next(iter(settings)) == "restrict_room_creation"


def test_the_secret_is_not_in_the_model(features: dict[str, Any]) -> None:
    secret = "a canary of more than thirty-two characters"
    model = build_model(features, {**DOMAIN, "jitsi_token_secret": secret})
    assert secret not in repr(model)
    assert "token_secret" not in model["options"]


def test_cases_follow_the_options(features: dict[str, Any]) -> None:
    strict = build_model(features, {**DOMAIN, "jitsi_token_wildcard_room": False})
    assert "wildcard_room_refused" in strict["cases"]
    assert "wildcard_room_enters" not in strict["cases"]
    settings = strict["prosody"]["hosts"]["meet.example.org"]["settings"]
    assert settings["token_guard_wildcard_room"] is False


def test_lists_append_without_duplicates(features: dict[str, Any]) -> None:
    more = with_feature(features, prosody={"hosts": {"main": {"modules": ["bosh", "extra"]}}})
    model = build_model(more, {**DOMAIN, "jitsi_features": ["extra"]})
    modules = model["prosody"]["hosts"]["meet.example.org"]["modules"]
    assert modules.count("bosh") == 1
    assert modules[-1] == "extra"


@pytest.mark.parametrize(
    ("given", "name", "port"),
    [
        pytest.param({}, "turn.meet.example.org", 443, id="by default"),
        pytest.param({"jitsi_turn_443_name": "b.example.net"}, "b.example.net", 443, id="own"),
        pytest.param({"jitsi_web_port": 8443}, "turn.meet.example.org", 8443, id="another port"),
        pytest.param(
            {"jitsi_web_port": 8443, "jitsi_web_public_port": 444},
            "turn.meet.example.org",
            444,
            id="with something in front",
        ),
    ],
)
def test_turn_is_told_of_by_a_second_name(
    features: dict[str, Any], given: dict[str, Any], name: str, port: int
) -> None:
    def told(**more: Any) -> Any:
        model = build_model(features, {**DOMAIN, **more})
        return model["prosody"]["settings"]["external_services"]

    *others, last = told(jitsi_features=["turn_on_443"], **given)
    assert others == told()
    assert (last["host"], last["port"]) == (name, port)
    assert {**last, "host": "", "port": 0} == {**others[-1], "host": "", "port": 0}


def test_a_second_setter_is_refused_with_both_files(features: dict[str, Any]) -> None:
    clash = {"hosts": {"main": {"settings": {"authentication": "anonymous"}}}}
    more = with_feature(features, prosody=clash)
    with pytest.raises(
        ModelError, match=r"Both the feature tokens and the feature extra set .*authentication"
    ):
        build_model(more, {**DOMAIN, "jitsi_features": ["extra"]})


def test_a_name_of_digits_stays_a_text(features: dict[str, Any]) -> None:
    model = build_model(features, {**DOMAIN, "jitsi_token_issuer": "123"})
    assert model["prosody"]["hosts"]["meet.example.org"]["settings"]["app_id"] == "123"


def test_an_unmet_requirement_is_refused(features: dict[str, Any]) -> None:
    more = {**with_feature(features, requires=["other"]), "other": {"summary": "Needed."}}
    with pytest.raises(ModelError, match=r"extra, which requires other. Add other"):
        choose(more, ["extra"])


def test_a_contradiction_is_refused_with_its_reason(features: dict[str, Any]) -> None:
    more = with_feature(features, conflicts={"tokens": "It opens every room."})
    with pytest.raises(ModelError, match=r"both extra and tokens. It opens every room."):
        choose(more, ["extra"])


def test_an_option_of_a_feature_that_is_off_is_refused(features: dict[str, Any]) -> None:
    more = with_feature(features, options={"limit": {"type": "bool", "default": True}})
    with pytest.raises(ModelError, match=r"jitsi_limit belongs to the feature extra, which is off"):
        build_model(more, {**DOMAIN, "jitsi_limit": False})


def test_an_unknown_key_of_a_host_is_refused(features: dict[str, Any]) -> None:
    more = with_feature(features, prosody={"hosts": {"main": {"setings": {}}}})
    with pytest.raises(ModelError, match=r"unknown key setings"):
        build_model(more, {**DOMAIN, "jitsi_features": ["extra"]})


def test_an_unknown_name_inside_a_feature_is_an_error(features: dict[str, Any]) -> None:
    more = with_feature(features, jicofo={"conference": "{{ names.nowhere }}"})
    with pytest.raises(ModelError, match=r"extra.jicofo"):
        build_model(more, {**DOMAIN, "jitsi_features": ["extra"]})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({}, "jitsi_domain is not set. Put the public name", id="no domain"),
        pytest.param({"jitsi_domain": "meet"}, "not a fully qualified", id="no FQDN"),
        pytest.param({"jitsi_domain": "Meet.example.org"}, "capital letters", id="capitals"),
        pytest.param({"jitsi_domain": "my_meet.example.org"}, "underscore", id="underscore"),
        pytest.param({"jitsi_domain": "meet.example.org:443"}, "has a port", id="port"),
        pytest.param({"jitsi_domain": "192.0.2.1"}, "looks like an address", id="address"),
        pytest.param({"jitsi_domain": "-a.example.org"}, "not a fully qualified", id="hyphen"),
        pytest.param({"jitsi_domain": "meet.example.org\n"}, "not a fully", id="line break"),
        pytest.param(
            {"jitsi_domain": LONG_DOMAIN},
            "jitsi_domain is too long",
            id="too long",
        ),
        pytest.param({"jitsi_domain": f"{'a' * 64}.example.org"}, "not a fully", id="long label"),
        pytest.param({"jitsi_domain": ["meet.example.org"]}, "of type list", id="domain in a list"),
        pytest.param(
            {**DOMAIN, "jitsi_domian": "x"}, "jitsi_domian.*Did you mean jitsi_domain", id="typo"
        ),
        pytest.param(
            {**DOMAIN, "jitsi_features": ["token"]}, "'token'.*Did you mean tokens", id="feature"
        ),
        pytest.param({**DOMAIN, "jitsi_features": "tokens"}, "must be a list", id="no list"),
        pytest.param(
            {**DOMAIN, "jitsi_features": ["tokens", "tokens"]}, "tokens twice", id="doubled"
        ),
        pytest.param({**DOMAIN, "jitsi_features": {"lobby": True}}, "must be a list", id="mapping"),
        pytest.param({**DOMAIN, "jitsi_features": None}, "must be a list", id="empty key"),
        pytest.param({**DOMAIN, "jitsi_features": [{"a": 1}]}, "which is no feature", id="no name"),
        pytest.param(
            {**DOMAIN, "jitsi_features_off": ["pols"]},
            "jitsi_features_off names 'pols'.*Did you mean polls",
            id="unknown feature off",
        ),
        pytest.param(
            {**DOMAIN, "jitsi_features_off": ["polls", "polls"]}, "polls twice", id="doubled off"
        ),
        pytest.param(
            {**DOMAIN, "jitsi_features_off": ["lobby"]}, "not on by default", id="off anyway"
        ),
        pytest.param(
            {**DOMAIN, "jitsi_features": ["polls"], "jitsi_features_off": ["polls"]},
            "polls is both in",
            id="on and off",
        ),
        *(
            pytest.param({**DOMAIN, "jitsi_versions": given}, words, id=f"versions {given}")
            for given, words in [
                (["prosody"], "jitsi_versions must map packages to versions, e.g."),
                ({"Prosody": "13.0.1-1"}, "'Prosody', which is no name of a package"),
                ({"--purge": "1"}, "'--purge', which is no name of a package"),
                ({"prosody": 13.0}, "jitsi_versions.prosody is no version.*in quotes"),
                ({"prosody": "13.0 nginx"}, "jitsi_versions.prosody is no version"),
            ]
        ),
        pytest.param(
            {**DOMAIN, "jitsi_max_occupants": 5},
            "belongs to the feature max_occupants, which is off. Add max_occupants to",
            id="option of a feature that is off",
        ),
        pytest.param(
            {**DOMAIN, "jitsi_features_off": ["turn"], "jitsi_turn_tls_port": 443},
            "feature turn, which is off. Take turn out of jitsi_features_off, or remove jitsi_turn",
            id="option of a feature that was switched off",
        ),
        *(
            pytest.param(
                {**DOMAIN, "jitsi_features": ["max_occupants"], "jitsi_max_occupants": number},
                f"jitsi_max_occupants must be {words}",
                id=f"a number {number!r}",
            )
            for number, words in [
                (0, "between 3 and"),
                (-1, "between 3 and"),
                (10**9, "between 3 and"),
                (True, "a whole number"),
                (2.5, "a whole number"),
                ("5", "a whole number"),
                (None, "a whole number"),
                ([5], "a whole number"),
            ]
        ),
        *(
            pytest.param(
                {
                    **DOMAIN,
                    "jitsi_features": ["affiliation", "owner_party"],
                    "jitsi_owner_party_timeout": seconds,
                },
                f"jitsi_owner_party_timeout must be {words}",
                id=f"a timeout {seconds!r}",
            )
            for seconds, words in [
                (0, "between 1 and 86400"),
                (-60, "between 1 and 86400"),
                (86401, "between 1 and 86400"),
                (float("inf"), "a whole number"),
                ("60", "a whole number"),
                ("a minute", "a whole number"),
            ]
        ),
        *(
            pytest.param(
                {**DOMAIN, "jitsi_features": ["tenants"], "jitsi_tenants": tenants},
                f"jitsi_tenants {words}",
                id=f"tenants {tenants!r}",
            )
            for tenants, words in [
                ("acme", "must be a list"),
                ({"acme": 1}, "must be a list"),
                (["Acme"], "has 'Acme', which is no label"),
                (["a.b"], "has 'a.b', which is no label"),
                (["acme-"], "has 'acme-', which is no label"),
                (["a" * 64], "has 'a+', which is no label"),
                (["acme\n"], "has 'acme.*', which is no label"),
                ([""], "has '', which is no label"),
                ([7], "has 7, which is no label"),
                (["acme", "acme"], "has acme twice"),
                (["conference"], "has conference, which is a component"),
                (["guest"], "has guest, which is a component"),
                (["internal"], "has internal, which is a component"),
                (["breakout"], "has breakout, which is a component"),
                (["http-bind"], "has http-bind, which is a component or a path"),
                (["static"], "has static, which is a component or a path"),
            ]
        ),
        pytest.param(
            {**DOMAIN, "jitsi_token_auth_url": "http://login.example.org"}, "https", id="no TLS"
        ),
        pytest.param({**DOMAIN, "jitsi_token_secret": "x" * 31}, "shorter than 32", id="short"),
        pytest.param({**DOMAIN, "jitsi_token_secret": "x" * 40 + "\n"}, "line break", id="newline"),
        pytest.param({**DOMAIN, "jitsi_token_issuer": "*"}, "everybody", id="any issuer"),
        pytest.param({**DOMAIN, "jitsi_token_audience": "*"}, "everybody", id="any audience"),
        pytest.param(
            {**DOMAIN, "jitsi_token_wildcard_room": "no"}, "true or false", id="quoted boolean"
        ),
    ],
)
def test_bad_input_is_refused_in_words(
    features: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        build_model(features, given)


def test_a_domain_as_long_as_its_certificates_allow_is_taken(features: dict[str, Any]) -> None:
    longest = f"{'a' * 40}.{'b' * 18}"
    model = build_model(features, {"jitsi_domain": longest})
    assert f"auth.{longest}" in model["prosody"]["hosts"]
    with pytest.raises(ModelError, match="Choose a domain that is 3 shorter"):
        build_model(features, {"jitsi_domain": longest, "jitsi_features": ["sip_gateway"]})


def test_it_says_why_a_feature_is_on_or_off(features: dict[str, Any]) -> None:
    given = {**DOMAIN, "jitsi_features": ["affiliation"], "jitsi_features_off": ["polls"]}
    model = build_model(features, given)
    assert model["why"]["tokens"] == "always on"
    assert model["why"]["affiliation"] == "asked for in jitsi_features"
    assert model["why"]["breakout"] == "on by default"
    assert model["off"] == {
        "first_is_owner": "steps aside for affiliation",
        "polls": "switched off in jitsi_features_off",
    }


def test_who_may_do_what_follows_the_features(features: dict[str, Any]) -> None:
    model = build_model(features, DOMAIN)
    assert "guest" not in model["may"]
    assert model["may"]["member"]["moderate"] == "who comes first"
    given = {**DOMAIN, "jitsi_features": ["guests", "affiliation", "owner_party"]}
    may = build_model(features, given)["may"]
    assert may["guest"]["open a room"] == "waits for an owner"
    assert (may["member"]["moderate"], may["owner"]["moderate"]) == (False, True)


def test_warnings_follow_the_options(features: dict[str, Any]) -> None:
    def warnings(**given: Any) -> str:
        return " ".join(build_model(features, {**DOMAIN, **given})["warnings"])

    assert "sub claim is not checked" not in warnings()
    assert "sub claim is not checked" in warnings(jitsi_token_domain_verification=False)
    assert "recording_guard is off" in warnings(jitsi_features_off=["recording_guard"])
    assert "Set jitsi_token_auth_url" in warnings()
    parties = ["affiliation", "owner_party"]
    assert "waits until a meeting ends" not in warnings(jitsi_features=parties)
    assert "waits until a meeting ends" in warnings(
        jitsi_features=parties, jitsi_owner_party_timeout=121
    )
    assert "Set jitsi_token_auth_url" not in warnings(
        jitsi_token_auth_url="https://login.example.org/{room}"
    )


def test_a_refused_secret_is_not_quoted(features: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as refused:
        build_model(features, {**DOMAIN, "jitsi_token_secret": "canary"})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    ['it\'s "quoted" \\ and 100 % odd: ' + "x" * 8, "äöüßéèêàâçñøåæœ日本語" + "Ελληνικά" * 2],
)
def test_odd_secrets_are_taken(features: dict[str, Any], secret: str) -> None:
    assert build_model(features, {**DOMAIN, "jitsi_token_secret": secret})


def test_a_misspelt_role_variable_is_refused(features: dict[str, Any]) -> None:
    known = ["jitsi_web_certificate"]
    check_names(features, ["jitsi_domain", "jitsi_web_certificate"], known)
    with pytest.raises(ModelError, match=r"Did you mean jitsi_web_certificate"):
        check_names(features, ["jitsi_web_certficate"], known)


@pytest.mark.parametrize(
    ("networks", "words"),
    [
        ("192.0.2.0/28", "must be a list"),
        ([""], "is no network"),
        (["192.0.2.1/24"], "no bit set beyond the length"),
        (["host.example.org"], "is no network"),
        ([3221225985], "is no network"),
        (["0.0.0.0/0"], "too many could try passwords"),
        (["::/16"], "too many could try passwords"),
        (["127.0.0.0/8"], "this server itself"),
        (["::1"], "this server itself"),
        (["192.0.2.1", "192.0.2.1"], "twice"),
    ],
    ids=str,
)
@pytest.mark.parametrize("feature", ["recording", "sip_gateway"])
def test_machines_come_from_networks_that_an_operator_names(
    features: dict[str, Any], feature: str, networks: Any, words: str
) -> None:
    variable = f"jitsi_{feature}_networks"
    given = {**DOMAIN, "jitsi_features": [feature], variable: networks}
    with pytest.raises(ModelError, match=f"{variable}.*{words}"):
        build_model(features, given)


def test_machines_log_in_from_their_networks_alone(features: dict[str, Any]) -> None:
    model = build_model(
        features,
        {
            **DOMAIN,
            "jitsi_features": ["recording", "sip_gateway", "rate_limit"],
            "jitsi_recording_networks": ["192.0.2.8/32", "2001:db8::/64"],
            "jitsi_sip_gateway_networks": ["192.0.2.9"],
        },
    )
    hosts = model["prosody"]["hosts"]
    recorder = hosts["recorder.meet.example.org"]["settings"]
    gateway = hosts["gateway.meet.example.org"]["settings"]
    local = ["127.0.0.0/8", "::1/128"]
    assert recorder["local_login_networks"] == [*local, "192.0.2.8/32", "2001:db8::/64"]
    # Who comes through a proxy on this server comes from the loopback
    assert recorder["local_login_web_networks"] == ["192.0.2.8/32", "2001:db8::/64"]
    assert gateway["local_login_networks"] == [*local, "192.0.2.9"]
    assert "local_login_web_networks" not in gateway
    assert hosts["meet.example.org"]["settings"]["rate_limit_whitelist"] == [
        "127.0.0.1",
        "::1",
        "192.0.2.8/32",
        "2001:db8::/64",
        "192.0.2.9",
    ]


def test_an_account_goes_with_its_feature(features: dict[str, Any]) -> None:
    recorder, gateway = "recorder@recorder.meet.example.org", "jigasi@gateway.meet.example.org"
    without = build_model(features, DOMAIN)
    assert without["accounts"] == {
        "focus@auth.meet.example.org": "focus_password",
        "jvb@auth.meet.example.org": "bridge_password",
    }
    # The host of the gateway goes as well, and nobody logs in where there is no host
    assert without["accounts_off"] == [recorder]
    both = build_model(features, {**DOMAIN, "jitsi_features": ["recording", "sip_gateway"]})
    assert both["accounts"].items() >= {
        (recorder, "recorder_password"),
        (gateway, "gateway_password"),
    }
    assert both["accounts_off"] == []


def test_a_bridge_is_one_of_a_list_and_goes_with_its_feature(features: dict[str, Any]) -> None:
    account = "jvb@auth.meet.example.org"
    model = build_model(features, DOMAIN)
    [bridge] = model["bridges"]
    servers = model["bridge"]["videobridge"]["http-servers"]
    assert bridge == {"name": "jvb", "account": account, "channels": "127.0.0.1:9090"}
    assert bridge["channels"] == f"{servers['public']['host']}:{servers['public']['port']}"
    assert bridge["name"] == model["bridge"]["videobridge"]["websockets"]["server-id"]
    internal = model["prosody"]["hosts"]["internal.auth.meet.example.org"]["settings"]
    assert internal["admins"] == ["focus@auth.meet.example.org"]  # who is one enters every brewery
    without = build_model(features, {**DOMAIN, "jitsi_features_off": ["bridge"]})
    assert without["bridges"] == [] and without["bridge"] == {}
    assert account in without["accounts_off"]
    assert account not in without["prosody"]["settings"]["unlimited_jids"]
    assert any("thrown out" in each for each in without["warnings"])
    assert not any("thrown out" in each for each in model["warnings"])
    assert "two_people_meet" in model["cases"] and "two_people_meet" not in without["cases"]
    # Where a bridge has no SCTP and Jicofo asks for it, nothing is allocated
    assert model["jicofo"]["sctp"] == {"enabled": False} and "sctp" not in without["jicofo"]


def test_channels_lead_to_the_port_that_browsers_use(features: dict[str, Any]) -> None:
    given = {**DOMAIN, "jitsi_web_port": 8443}
    [domain] = build_model(features, given)["bridge"]["videobridge"]["websockets"]["domains"]
    assert domain == "meet.example.org:8443"


def test_a_condition_over_several_lines_is_one(features: dict[str, Any]) -> None:
    """YAML keeps the break before a line that is further in."""
    assert not any(
        "jitsi_extra_modules" in each for each in build_model(features, DOMAIN)["warnings"]
    )
    given = {**DOMAIN, "jitsi_extra_jicofo": {"conference": {"max-video-senders": 20}}}
    assert any("jitsi_extra_modules" in each for each in build_model(features, given)["warnings"])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("203.0.113.7", ["203.0.113.7"], id="one"),
        pytest.param(["203.0.113.7", "2001:DB8::7"], ["203.0.113.7", "2001:db8::7"], id="both"),
        pytest.param("10.1.2.3", ["10.1.2.3"], id="of an own network"),
    ],
)
def test_public_addresses_are_a_list(
    features: dict[str, Any], written: Any, read: list[str]
) -> None:
    given = {**DOMAIN, "jitsi_videobridge_public_address": written}
    assert build_model(features, given)["options"]["videobridge_public_address"] == read


def test_jicofo_and_the_client_hear_of_machines(features: dict[str, Any]) -> None:
    without = build_model(features, DOMAIN)
    assert not {"jibri", "jigasi"} & set(without["jicofo"])
    assert "hiddenDomain" not in without["web"]
    model = build_model(
        features,
        {
            **DOMAIN,
            "jitsi_features": ["recording", "sip_gateway"],
            "jitsi_recording_pending_timeout": 30,
        },
    )
    assert model["jicofo"]["jibri"] == {
        "brewery-jid": "JibriBrewery@internal.auth.meet.example.org",
        "pending-timeout": "30 seconds",
    }
    assert model["jicofo"]["jigasi"] == {
        "brewery-jid": "JigasiBrewery@internal.auth.meet.example.org"
    }
    # Callers are seen
    assert model["web"]["hiddenDomain"] == "recorder.meet.example.org"
    breweries = model["prosody"]["hosts"]["internal.auth.meet.example.org"]["settings"][
        "machine_guard_breweries"
    ]
    assert breweries == {
        "recorder.meet.example.org": "jibribrewery@internal.auth.meet.example.org",
        "gateway.meet.example.org": "jigasibrewery@internal.auth.meet.example.org",
        "auth.meet.example.org": "jvbbrewery@internal.auth.meet.example.org",
    }


def test_a_condition_that_is_a_text_is_refused(features: dict[str, Any]) -> None:
    broken = {"when": "{{ options.domain }} or", "text": "x"}
    with pytest.raises(ModelError, match="is a text"):
        build_model(with_feature(features, warnings=[broken], default=True), DOMAIN)
