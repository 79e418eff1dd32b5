"""The feature files, and which of them are on."""

from __future__ import annotations

import difflib
import fnmatch
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vestibule.model import ModelError, beside

# The C loader parses ten times faster, and every worker of Ansible parses anew.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# With these begin the names of all variables of ours
PREFIXES = ("coturn_", "jicofo_", "jitsi_", "prosody_", "vestibule_")
# A name so near to one of ours is meant to be it, though its prefix is another one
MISSPELT = 0.9
ALWAYS_ON = ("base", "tokens")
_FEATURE_KEYS = frozenset(
    {
        "summary",
        "default",
        "yields_to",
        "group",
        "requires",
        "conflicts",
        "options",
        "names",
        "machines",
        "bridges",
        "remote_bridges",
        "turn_servers",
        "accounts",
        "prosody",
        "jicofo",
        "bridge",
        "web",
        "tenant_web",
        "proves",
        "reads",
        "opens",
        "may",
        "warnings",
    }
)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`` Did you mean x?``, or nothing where no candidate is near."""
    near = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


@functools.lru_cache(maxsize=8)
def load_features(folder: str = "") -> dict[str, Any]:
    """Feature name to the content of its file, read once a process. ``features`` by default."""
    features = {}
    home = Path(folder) if folder else beside("features")
    for path in sorted(home.glob("*.yml")):
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 — a safe loader
        unknown = set(content) - _FEATURE_KEYS
        if unknown:
            raise ModelError(f"{path}: unknown key {', '.join(sorted(unknown))}.")
        features[path.stem] = content
    if not features:
        raise ModelError(f"There is no feature file in {home}.")
    return features


def _check_feature_names(variable: str, features: Mapping[str, Any], wanted: Iterable[Any]) -> None:
    seen = set()
    for name in wanted:
        if not isinstance(name, str) or name not in features:
            optional = ", ".join(
                each
                for each, content in features.items()
                if each not in ALWAYS_ON and "group" not in content
            )
            raise ModelError(
                f"{variable} names {name!r}, which is no feature.{nearest(str(name), features)}"
                f" The optional features are: {optional}."
            )
        if "group" in features[name]:
            raise ModelError(
                f"{variable} names {name}, which hosts in the group {features[name]['group']} of"
                f" the inventory bring with them. Remove it from {variable}."
            )
        if name in seen:
            raise ModelError(f"{variable} names {name} twice. Remove one.")
        seen.add(name)


def _depth(features: Mapping[str, Any], name: str) -> int:
    """How many features stand below this one, by what they require."""
    return 1 + max(
        (_depth(features, each) for each in features[name].get("requires", []) if each in features),
        default=0,
    )


def choose(
    features: Mapping[str, Any],
    wanted: list[Any],
    unwanted: Sequence[Any] = (),
    groups: Iterable[str] = (),
) -> dict[str, str]:
    """The features that are on and why, or an error on unknown, doubled or clashing ones.

    ``groups`` are those of the inventory that have hosts of this server, and bring features. One
    whose feature is off brings none.

    A feature comes after those that it requires; else the order is that of the folder, so that
    another order in the inventory changes no file.
    """
    _check_feature_names("jitsi_features", features, wanted)
    _check_feature_names("jitsi_features_off", features, unwanted)
    for name in unwanted:
        if name in wanted:
            raise ModelError(
                f"{name} is both in jitsi_features and in jitsi_features_off. Remove one."
            )
        if not features[name].get("default"):
            raise ModelError(
                f"jitsi_features_off names {name}, which is not on by default. Remove it."
            )
    why = dict.fromkeys(ALWAYS_ON, "always on")
    for name in sorted(features, key=functools.partial(_depth, features)):
        group = features[name].get("group")
        if name in wanted:
            why.setdefault(name, "asked for in jitsi_features")
        elif group:
            if group in groups and set(features[name].get("requires", [])) <= set(why):
                why.setdefault(name, f"hosts in the group {group} of the inventory")
        elif (
            features[name].get("default")
            and name not in unwanted
            and not any(other in wanted for other in features[name].get("yields_to", []))
        ):
            why.setdefault(name, "on by default")
    for name in why:
        for other in features[name].get("requires", []):
            if other in unwanted:
                raise ModelError(
                    f"jitsi_features_off has {other}, which {name} requires. Remove {other} from"
                    f" jitsi_features_off, or {name} from jitsi_features."
                )
            if other not in why:
                raise ModelError(
                    f"jitsi_features has {name}, which requires {other}. Add {other} to"
                    f" jitsi_features, or remove {name}."
                )
        for other, reason in features[name].get("conflicts", {}).items():
            if other in why:
                raise ModelError(
                    f"jitsi_features has both {name} and {other}. {reason} Remove one of them."
                )
    return why


def why_off(
    features: Mapping[str, Any], chosen: Iterable[str], unwanted: Iterable[str]
) -> dict[str, str]:
    """Of each feature that is on by default and yet off: why."""
    off = {}
    for name, feature in features.items():
        if feature.get("default") and name not in chosen:
            instead = [other for other in feature.get("yields_to", []) if other in chosen]
            off[name] = (
                "switched off in jitsi_features_off"
                if name in unwanted
                else f"steps aside for {' and '.join(instead)}"
            )
    return off


def is_foreign(variable: str, foreign: Iterable[str]) -> bool:
    """Whether a variable belongs to others, by the operator's word in ``foreign``."""
    return any(fnmatch.fnmatchcase(variable, each) for each in foreign)


def check_names(
    features: Mapping[str, Any],
    names: Iterable[str],
    known: Iterable[str],
    foreign: Iterable[str] = (),
) -> None:
    """Refuses a variable with a prefix of ours that neither a feature nor a role (``known``) has.

    So is one that only lacks the right prefix. ``foreign`` are names, or beginnings with a ``*``,
    of variables that belong to others.
    """
    exist = {f"jitsi_{option}" for each in features.values() for option in each.get("options", {})}
    exist.update(known)
    for variable in names:
        if variable in exist or is_foreign(variable, foreign):
            continue
        if variable.lower().startswith(PREFIXES) or difflib.get_close_matches(
            variable, exist, n=1, cutoff=MISSPELT
        ):
            raise ModelError(
                f"{variable} is no variable of Vestibule.{nearest(variable, sorted(exist))}"
                " Correct it or remove it; docs/variables.md lists them all. If it belongs to"
                " another role, name it in jitsi_foreign_variables."
            )
