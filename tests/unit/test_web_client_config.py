"""Additions to the web client's configuration: how they merge, and whom the client asks by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vestibule.model import ModelError
from vestibule.model.client import asked_by
from vestibule.model.compiler import build_model
from vestibule.model.features import load_features

FEATURES = load_features(str(Path(__file__).parents[2] / "features"))
DOMAIN = "meet.example.org"


def model(extra: Any, **options: Any) -> dict[str, Any]:
    return build_model(
        FEATURES, {"jitsi_domain": DOMAIN, "jitsi_web_extra_config": extra, **options}
    )


def test_additions_merge_with_what_features_set() -> None:
    web = model({"p2p": {"iceTransportPolicy": "relay"}, "lastN": 5, "x": [None, 1.5, {}]})["web"]
    assert web["p2p"] == {"enabled": True, "stunServers": [], "iceTransportPolicy": "relay"}
    assert (web["lastN"], web["x"], web["hosts"]["domain"]) == (5, [None, 1.5, {}], DOMAIN)


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ({"hosts": {"muc": "x.example.org"}}, "web.hosts.muc"),
        ({"p2p": 5}, "web.p2p"),
        ({"bosh": {"x": 1}}, "web.bosh"),
        ({"disableThirdPartyRequests": False}, "web.disableThirdPartyRequests"),
    ],
)
def test_what_a_feature_sets_is_refused_by_name(extra: dict[str, Any], key: str) -> None:
    with pytest.raises(
        ModelError, match=rf"^Both the feature \w+ and jitsi_web_extra_config set {key}\."
    ):
        model(extra)


@pytest.mark.parametrize(
    ("extra", "place", "origin"),
    [
        ({"brandingDataUrl": "https://cdn.example.net/x?y"}, "brandingDataUrl",
         "https://cdn.example.net"),
        ({"x": {"y": ["a", "wss://Board.example.net:8443/{room}"]}}, "x.y[1]",
         "wss://board.example.net:8443"),
        ({"x": "//cdn.example.net"}, "x", "https://cdn.example.net"),
        ({"gravatar": {"baseUrl": "https://a.example.net/"}}, "gravatar.baseUrl",
         "https://a.example.net"),
        ({"callStatsID": "x"}, "callStatsID", ""),
        ({"analytics": {"amplitudeAPPKey": "x"}}, "analytics.amplitudeAPPKey", ""),
        ({"giphy": {"enabled": True}}, "giphy", ""),
    ],
)  # fmt: skip
def test_whoever_the_client_asks_is_named(extra: Any, place: str, origin: str) -> None:
    place = f"jitsi_web_extra_config.{place}"
    assert asked_by(extra, DOMAIN) == [(place, origin)]
    made = model(extra)
    assert [each for each in made["warnings"] if each.startswith(f"{place} has ")]
    assert made["web_others"] == ([origin] if origin else [])


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"x": f"https://{DOMAIN}:8443/board"},
        {"x": "see https://a.example.net", "y": 5},
        {"gravatar": {"disabled": True}, "giphy": {"enabled": False}, "callStatsID": ""},
    ],
)
def test_nobody_else_is_asked_by_the_rest(extra: dict[str, Any]) -> None:
    assert asked_by(extra, DOMAIN) == []
    assert model(extra)["web_others"] == []


def test_the_warning_says_that_nothing_proves_additions() -> None:
    assert [each for each in model({"x": 1})["warnings"] if "jitsi_web_extra_config add" in each]
    assert not [each for each in model({})["warnings"] if "jitsi_web_extra_config" in each]
