"""Filter ``jitsi_missing_modules``: what a plugin tree lacks, for which feature, and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.jitsi_missing_modules import FilterModule, jitsi_missing_modules
from vestibule.model.compiler import build_model
from vestibule.model.features import load_features

ROOT = Path(__file__).parents[2]
NEEDED = {
    "muc": ["base"],
    "token_verification": ["tokens"],
    "token_affiliation": ["affiliation"],
    "persistent_lobby": ["guests", "owner_party"],
    "community": [],
}
FILES = [
    "/usr/share/jitsi-meet/prosody-plugins/mod_token_verification.lua",
    "mod_persistent_lobby/mod_persistent_lobby.lua",
    "token/util.lib.lua",
]


def test_nothing_is_missing() -> None:
    said = jitsi_missing_modules(NEEDED, FILES, "x", ["fallback/mod_token_affiliation.lua"])
    assert said == ""


def test_an_optional_feature_can_be_left_out() -> None:
    said = jitsi_missing_modules(NEEDED, FILES[:1], "jitsi-meet-prosody 1.0.1 on meet")
    assert said.startswith("jitsi-meet-prosody 1.0.1 on meet lacks Prosody modules")
    assert "mod_persistent_lobby (for guests, owner_party), mod_token_affiliation" in said
    assert "take affiliation, guests, owner_party out of jitsi_features" in said
    assert "mod_community" not in said


def test_what_is_always_on_cannot_be_left_out() -> None:
    said = jitsi_missing_modules(NEEDED, FILES[1:], "The archive")
    assert "mod_token_verification (for tokens)" in said
    assert "`apt-get install jitsi-meet-prosody` on the host (on Arch," in said
    assert "jitsi_features" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["token_verification.allowlist"], False, id="new"),
        pytest.param([], True, id="too old"),
        pytest.param(["other.allowlist"], True, id="another module's"),
    ],
)
def test_a_module_that_ignores_an_option_is_named(options: list[str], *, said: bool) -> None:
    needed = {"token_verification": ["tokens"], "token_verification.allowlist": ["guests"]}
    sentence = jitsi_missing_modules(needed, FILES, "x", options=options)
    words = (
        "lacks Prosody modules that the features need: mod_token_verification that knows allowlist"
    )
    assert (words in sentence) == said
    assert bool(sentence) == said


def test_of_a_missing_module_no_option_is_named() -> None:
    needed = {"gone": ["guests"], "gone.option": ["guests"]}
    assert "knows option" not in jitsi_missing_modules(needed, FILES, "x")


def test_a_list_is_no_mapping() -> None:
    with pytest.raises(AnsibleFilterError, match="not list"):
        FilterModule().filters()["jitsi_missing_modules"](["muc"], files=[], source="x")


def test_the_model_says_who_needs_a_module() -> None:
    given = {
        "jitsi_domain": "meet.example.org",
        "jitsi_features": ["guests"],
        "jitsi_extra_modules": {"main": ["community"]},
    }
    needed = build_model(load_features(), given)["needed_by"]
    assert needed["muc_wait_for_host"] == ["guests"]
    assert needed["muc_wait_for_host.wait_for_host_disable_auto_owners"] == ["guests"]
    assert needed["auth_token"] == ["tokens"]
    assert needed["auth_jitsi-anonymous"] == ["guests"]
    assert needed["speakerstats_component"] == ["speakerstats"]
    assert needed["bosh"] == ["base", "guests"]
    assert "community" not in needed


@pytest.mark.parametrize("feature", sorted(load_features()))
def test_the_stand_ins_have_what_features_need(feature: str) -> None:
    """Else a module in a feature file is misspelt, or unknown to the filter."""
    content = load_features()[feature].get("prosody", {})
    hosts = content.get("hosts", {}).values()
    listed = [host.get(kind, []) for host in (*hosts, content) for kind in ("modules", "guards")]
    needed = {name: [feature] for names in listed if isinstance(names, list) for name in names}
    files = [str(path) for path in (ROOT / "rig/stand_ins/plugins").glob("mod_*.lua")]
    ours = [str(path) for path in (ROOT / "roles/jitsi_tokens/files").glob("*/mod_*.lua")]
    assert files and ours
    assert jitsi_missing_modules(needed, files, "The stand-ins", ours) == ""
