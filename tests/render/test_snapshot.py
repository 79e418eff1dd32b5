"""The files of every set of features are those that ``snapshot.txt`` has the hashes of.

A change of a rendered file is wanted or it is a fault. ``.venv/bin/python
tests/render/test_snapshot.py`` accepts what is rendered now; ``git diff`` then shows what changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader, lookup_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("snapshot.txt")
ACCEPT = ".venv/bin/python tests/render/test_snapshot.py"
HEAD = f"""\
# SHA-256 of what is rendered: the platform, the set of features, and the file or the model.
# What most sets have stands here once, and what is everywhere as on debian13 stands there alone.
# To accept a change: {ACCEPT}
"""
OTHERS = "every other set"
ALONE = " alone"
REFERENCE = "debian13"
ELSEWHERE = "far.example.org"
RELAY = "relay.example.org"
DOMAIN = {"jitsi_domain": "meet.example.org"}
DECIDERS = ("affiliation", "first_is_owner", "jicofo_login")

# Each role with the expression of what it writes: entries with `path`, and `content` or `link`
WRITTEN = {
    "jitsi_acme": "__jitsi_acme_files",
    "prosody": "__prosody_files + __prosody_secret_files",
    "jitsi_tokens": "jitsi_tokens_wishes.jitsi_tokens_keys.config_files.files",
    "jicofo": """[{'path': __jicofo_conf,
                   'content': lookup('vestibule_template', 'jicofo/jicofo.conf.j2')}]
                 + __jicofo_unit_files[__jicofo_unit_of]""",
    "jitsi_videobridge": """jitsi_videobridge_wishes.values()
                            | selectattr('config_files', 'defined')
                            | map(attribute='config_files.files') | flatten""",
    "jitsi_web": "__jitsi_web_files",
    "coturn": "(__coturn_files + __coturn_unit_files) if coturn_wanted else []",
}
# What the playbook hands on from one role to others
HANDED_ON = (
    ("jitsi_tokens", "jitsi_tokens_plugin_paths"),
    ("prosody", "prosody_http_listeners"),
    ("prosody", "prosody_c2s_port"),
)
# No set of features changes what these do, but the operator may
OTHERWISE = {
    "prosody_log_level": "debug",
    "prosody_interfaces": ["127.0.0.1", "::1"],
    "prosody_c2s_port": 15222,
    "prosody_http_port": 15280,
    "jitsi_web_addresses": ["192.0.2.10"],
    "jitsi_web_certificate": "/etc/ssl/meet.crt",
    "jitsi_web_certificate_key": "/etc/ssl/meet.key",
    "jitsi_web_default_server": False,
    "jitsi_web_connections_per_address": 77,
    "jitsi_web_logins_per_second": 5,
    "jitsi_web_bosh_requests_per_second": 60,
    "jitsi_web_worker_connections": 1024,
    "__jitsi_web_seen": {"responder": True},
    "jitsi_tokens_source": "archive",
    "jitsi_token_issuers": ["vestibule", "https://id.example.org"],
    "jitsi_token_audiences": ["jitsi", "meet"],
    "jitsi_token_keys": [
        {
            "kid": "app",
            "algorithm": "HS256",
            "secret": "a secret of one application, for tests only",
            "issuers": ["vestibule"],
            "not_after": "2199-12-31T23:59:59Z",
        }
    ],
    "jitsi_token_revoked": {"users": ["u-17"], "issued_before": "2026-01-01T00:00:00+01:00"},
    "jitsi_videobridge_public_address": ["203.0.113.7"],
    "jitsi_videobridge_memory": 1024,
    "jitsi_extra_videobridge": {"videobridge": {"cc": {"trust-bwe": False}}},
    "jitsi_turn_port": 13478,
    "jitsi_turn_tls_port": 15349,
    "jitsi_turn_relay_min_port": 50000,
    "jitsi_turn_relay_max_port": 60000,
    "jitsi_turn_public_address": "198.51.100.7",
    "jitsi_turn_peers": ["10.0.8.0/24"],
    "jitsi_turn_user_quota": 50,
    "jitsi_turn_total_quota": 500,
    "jitsi_extra_modules": {"main": ["version"]},
    "jitsi_extra_settings": {"conference": {"muc_log_by_default": False}},
}


def _facts(
    family: str, distribution: str, version: str, nginx: str, jicofo: str, bridge: str
) -> dict[str, Any]:
    units = {"jicofo": "/usr/lib/systemd/system/jicofo.service"} if jicofo else {}
    return {
        "os_family": family,
        "distribution": distribution,
        "distribution_version": version,
        "vestibule": {
            "packages": {"nginx": nginx},
            "candidates": {},
            "apt_files": {},
            "lua_package": "lua",
            "unit_files": units,
            "addresses": {"ipv4": "10.0.0.5", "ipv6": ""},
            "public_addresses": ["192.0.2.10"],
            "memory": 4096,
            "jitsi": {
                "jicofo": jicofo,
                "videobridge": bridge,
                "plugins": "/usr/share/jitsi-meet/prosody-plugins",
            },
        },
    }


PLATFORMS = {
    REFERENCE: _facts("Debian", "Debian", "13", "1.26.3-3+deb13u1", "", ""),
    "debian12": _facts("Debian", "Debian", "12", "1.22.1-9+deb12u2", "", ""),
    "archlinux": _facts(
        "Archlinux", "Archlinux", "rolling", "1.28.0-1", "/etc/jicofo", "/etc/jitsi-videobridge"
    ),
}
LOADER = DataLoader()


def _load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = LOADER.load_from_file(str(path), trusted_as_template=True)
    return content


FEATURES = {path.stem: _load(path) for path in sorted((ROOT / "features").glob("*.yml"))}


def _render(variables: dict[str, Any], expression: str) -> Any:
    templar = Templar(loader=LOADER, variables=variables)
    return templar.template(trust_as_template(f"{{{{ {expression} }}}}"))


def _sets() -> dict[str, dict[str, Any]]:
    """The inventory's variables of every set: one feature, a scenario's, all that go together."""
    optional = [
        name
        for name, each in FEATURES.items()
        if name not in ("base", "tokens") and "group" not in each
    ]
    named = {f"{name}{ALONE}": _inventory(_with_needs([name])) for name in optional}
    own = {f"jitsi_{option}" for each in FEATURES.values() for option in each.get("options", {})}
    scenarios: dict[str, str] = {}  # the first of those that deploy the same
    for path in sorted(ROOT.glob("molecule/*/hosts.yml")):
        given = _load(path)["rig"].get("vars", {})
        given = {**DOMAIN, **{name: value for name, value in given.items() if name in own}}
        scenarios.setdefault(json.dumps(given), path.parent.name)
    named |= {f"as in {name}": json.loads(text) for text, name in scenarios.items()}
    for decider in DECIDERS:
        on = _with_needs([decider])
        for name in [*optional, *optional]:  # twice, for some come after what they need
            more = [*on, name]
            if name not in on and not _problem(_inventory(more)):
                on = more
        named[f"all with {decider}"] = _inventory(on)
    named["an authority"] = {**_inventory(["affiliation"]), "jitsi_certificate": "acme"}
    named |= {f"in two parts, {host}": _split(host) for host in ("meet", ELSEWHERE)}
    named |= {f"TURN elsewhere, {host}": _turn_elsewhere(host) for host in ("meet", RELAY)}
    named["other options"] = {**_inventory(["affiliation", "bridge", "turn"]), **OTHERWISE}
    return named


def _split(host: str) -> dict[str, Any]:
    """What is known on a host of an inventory with the signalling and a bridge elsewhere."""
    way = {"channels": "192.0.2.20:9090", "trusted": "a certificate of a bridge", "media": []}
    seen = {"/var/lib/prosody/auth.meet.example.org.crt": {"chain": "a certificate of Prosody"}}
    return {
        **_inventory(["affiliation", "bridge"]),
        "inventory_hostname": host,
        "groups": {"all": ["meet", ELSEWHERE], "bridges": [ELSEWHERE]},
        "hostvars": {
            "meet": {
                **DOMAIN,
                "vestibule_address": "192.0.2.10",
                "ansible_facts": {"vestibule": {"certificates": seen}},
            },
            ELSEWHERE: {**DOMAIN, "vestibule_address": "192.0.2.20", "vestibule_way": way},
        },
    }


def _turn_elsewhere(host: str) -> dict[str, Any]:
    """What is known on a host of an inventory with the signalling and a TURN server elsewhere."""
    return {
        **_inventory(["affiliation", "bridge", "turn"]),
        **({"jitsi_turn_tls_port": 443} if host == RELAY else {}),
        "inventory_hostname": host,
        "groups": {"all": ["meet", RELAY], "turn": [RELAY]},
        "hostvars": {
            "meet": {
                **DOMAIN,
                "vestibule_address": "192.0.2.10",
                "vestibule_media": ["10.0.8.10", "192.0.2.10"],
            },
            RELAY: {**DOMAIN, "jitsi_turn_tls_port": 443},
        },
    }


def _with_needs(names: list[str]) -> list[str]:
    needed = list(names)
    for name in needed:  # grows on the way
        needed += [each for each in FEATURES[name].get("requires", []) if each not in needed]
    return needed if set(needed) & set(DECIDERS) else [*needed, "first_is_owner"]


def _inventory(on: Iterable[str]) -> dict[str, Any]:
    return {
        **DOMAIN,
        "jitsi_features": list(on),
        "jitsi_features_off": [
            name for name, each in FEATURES.items() if each.get("default") and name not in on
        ],
    }


def _problem(given: Mapping[str, Any]) -> str:
    return str(_render({"given": given}, "given | jitsi_model(problem_only=true)"))


def _written(facts: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of everything that is written on a platform for an inventory."""
    shared = _load(ROOT / "playbooks/vars/model.yml") | {
        "ansible_facts": facts,
        "playbook_dir": str(ROOT / "playbooks"),
        "jitsi_token_secret": "a secret of the tokens, for tests only",
        "jicofo_password": "a password of Jicofo, for tests only",
        "jitsi_videobridge_password": "a password of a bridge, for tests only",
        "coturn_secret": "a-secret-of-TURN-for-tests-only",
        **given,
    }
    text = json.dumps(_render(shared, "jitsi_access_model"))
    yield "the model", text
    # Compiled once, instead of wherever it is read
    shared["jitsi_access_model"] = json.loads(text)
    for role, name in HANDED_ON:
        shared[name] = _render(_variables(role, facts) | shared, name)
    for role, expression in WRITTEN.items():
        variables = _variables(role, facts) | shared
        for entry in _render(variables, expression):
            yield entry["path"], entry.get("content") or json.dumps(entry)


def _variables(role: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    files = ("defaults/main.yml", "vars/main.yml", f"vars/{facts['os_family']}.yml")
    folder = ROOT / "roles" / role
    return {name: each for file in files for name, each in _load(folder / file).items()}


def rendered() -> dict[str, str]:
    """SHA-256 by platform, set and file."""
    if not AnsibleCollectionConfig.collection_finder:  # which is made once a process
        init_plugin_loader()
    filter_loader.add_directory(str(ROOT / "filter_plugins"))
    lookup_loader.add_directory(str(ROOT / "lookup_plugins"))
    sets = _sets()
    hashes: dict[tuple[str, str], dict[str, str]] = {}
    for platform, facts in PLATFORMS.items():
        for name, given in sets.items():
            # No file differs between platforms by what a single feature says
            if platform != REFERENCE and name.endswith(ALONE):
                continue
            for what, text in _written(facts, given):
                if name.endswith(ELSEWHERE) and "videobridge" not in what:
                    continue  # a bridge is all that is there
                if name.endswith(RELAY) and "turn" not in what:
                    continue
                digest = hashlib.sha256(text.encode()).hexdigest()
                hashes.setdefault((platform, what), {})[name] = digest
    lines: dict[str, str] = {}
    for (platform, what), by_set in hashes.items():
        if platform == REFERENCE or not by_set.items() <= hashes.get((REFERENCE, what), {}).items():
            often, times = Counter(by_set.values()).most_common(1)[0]
            rare = {name: each for name, each in by_set.items() if each != often}
            shown = {OTHERS: often, **rare} if times > len(by_set) / 2 else by_set
            lines |= {f"{platform}: {name}: {what}": each for name, each in shown.items()}
    return lines


def accepted() -> dict[str, str]:
    """What ``snapshot.txt`` says, in the same form."""
    lines = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("  ", 1) for line in lines if not line.startswith("#")]
    return {name: digest for digest, name in pairs}


@pytest.fixture(name="now", scope="module")
def _now() -> dict[str, str]:
    return rendered()


def test_every_feature_is_in_a_set(now: dict[str, str]) -> None:
    sets = {name.split(": ")[1] for name in now}
    brought = {name for name, each in FEATURES.items() if "group" in each}
    assert brought
    lacking = {name for name in FEATURES if f"{name}{ALONE}" not in sets}
    assert lacking == {"base", "tokens", *brought}
    assert {f"all with {decider}" for decider in DECIDERS} <= sets


def test_what_is_rendered_is_what_was_accepted(now: dict[str, str]) -> None:
    before = accepted()
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    assert not changed, (
        f"{len(changed)} of {len(now)} changed:\n" + "\n".join(changed) + f"\nIf that is wanted:"
        f" {ACCEPT}"
    )


if __name__ == "__main__":
    lines = [f"{digest}  {name}\n" for name, digest in sorted(rendered().items())]
    SNAPSHOT.write_text(HEAD + "".join(lines), encoding="utf-8")
    print(f"{len(lines)} hashes are in {SNAPSHOT.relative_to(ROOT)}.")
