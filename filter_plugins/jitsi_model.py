"""Filter ``jitsi_model``: what the operator wants, compiled into one model of the server."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml
from ansible.errors import AnsibleFilterError
from jinja2 import ChainableUndefined, Environment, StrictUndefined, Undefined, UndefinedError

DOCUMENTATION = r"""
name: jitsi_model
short_description: Compile the operator's jitsi_* variables and features into one model
description:
  - Merges the feature files onto the base and returns plain data, touching no host.
  - Lists append without duplicates. A setting may be set by one feature only.
  - Unknown features, misspelt variables, unmet requirements and contradictions are errors that
    name the variable and the remedy. The contradictions are those in C(contradictions.yml) beside
    the folder of the features.
options:
  _input:
    description: The operator's variables, every C(jitsi_*) that is not a role's own.
    type: dict
    required: true
  features:
    description: Folder of the feature files. That of the role C(jitsi_access) by default.
    type: path
  names:
    description: Names of variables to check for misspellings, beside those of the input.
    type: list
    elements: str
    default: []
  known:
    description: Names that belong to roles and are no misspellings.
    type: list
    elements: str
    default: []
  problem_only:
    description: >-
      Return the sentence of the error, or an empty text, instead of the model. For assert, whose
      message is easier to read than that of a failing filter.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what would be deployed
  ansible.builtin.debug:
    msg: "{{ {'jitsi_domain': 'meet.example.org'} | jitsi_model }}"
"""

RETURN = r"""
_value:
  description: >-
    The model. C(features) are the names that are on, C(options) the operator's choices with their
    defaults, C(names) the addresses of this deployment, C(prosody), C(jicofo) and C(web) the
    configuration of each program, C(needed_by) the features that load each Prosody module,
    C(cases) the names of the access cases that prove it. For people, C(why) says of each feature
    why it is on, C(off) of those that are on by default why they are off, C(may) maps actor and
    action to yes, no or a condition in words, and C(warnings) are sentences.
  type: dict
"""

# The C loader parses ten times faster, and every worker of Ansible parses anew.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_ROLE = Path(__file__).resolve().parents[1] / "roles/jitsi_access"
FEATURES = str(_ROLE / "features")
CONTRADICTIONS = str(_ROLE / "contradictions.yml")
ALWAYS_ON = ("base", "tokens")
_FEATURE_KEYS = frozenset(
    {
        "summary",
        "default",
        "yields_to",
        "requires",
        "conflicts",
        "options",
        "names",
        "prosody",
        "jicofo",
        "web",
        "proves",
        "reads",
        "may",
        "warnings",
    }
)
# What becomes part of the model, and what a feature without it says
_EMPTY: Mapping[str, Any] = {
    "prosody": {},
    "jicofo": {},
    "web": {},
    "proves": [],
    "reads": {},
    "may": {},
    "warnings": [],
}
_HOST_KEYS = frozenset(
    {
        "name",
        "kind",
        "component",
        "purpose",
        "settings",
        "comments",
        "guards",
        "modules",
    }
)
_EXPRESSION = re.compile(r"\{\{((?:(?!\}\}).)*)\}\}")
_REFERENCE = re.compile(r"\{\{ (names|options)\.(\w+) \}\}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_URL = re.compile(r"https://[^\s\"'\\<>`]{1,2000}")
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,99}")
# Debian policy 5.6.1 and 5.6.12; those of Arch are among them, and @ and _ beside
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+._@-]{0,99}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~_-]{0,99}")
_MODULE = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
# Settings by which Prosody or mod_fail_closed would load something else than the model says
_OURS_ALONE = frozenset(
    {"fail_closed_required", "modules_disabled", "modules_enabled", "plugin_paths"}
)
_MIN_SECRET = 32  # characters: RFC 7518 section 3.2 asks for a key as long as the hash
_MAX_DOMAIN = 253  # characters, RFC 1035


class ModelError(ValueError):
    """The operator's choices make no model. The message is a sentence for the operator."""


class _Check(Protocol):
    """Checks the value of a variable by the spec of its option in the feature file."""

    def __call__(self, variable: str, value: Any, spec: Mapping[str, Any], /) -> Any: ...


def _check_domain(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    hint = f"Put the public name of the server there, e.g. {variable}: meet.example.org."
    if not isinstance(value, str) or not value:
        raise ModelError(
            f"{variable} is not set. Put the public name of the server in"
            f" inventory/<name>/group_vars/all.yml, e.g. {variable}: meet.example.org."
        )
    if value != value.lower():
        raise ModelError(f"{variable} has capital letters. Write it in lower case. {hint}")
    if ":" in value:
        raise ModelError(f"{variable} has a port or a scheme. {hint}")
    if "_" in value:
        raise ModelError(f"{variable} has an underscore, which host names may not have. {hint}")
    labels = value.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ModelError(f"{variable} is not a fully qualified domain name. {hint}")
    if labels[-1].isdigit():
        raise ModelError(f"{variable} looks like an address. {hint}")
    return value


def _check_name(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    if value == "*":
        raise ModelError(
            f"{variable} is '*', which would accept tokens of everybody. Choose one name,"
            " e.g. vestibule."
        )
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ModelError(
            f"{variable} must be one name of letters, digits and . _ : / @ - (at most 255), as"
            " it stands in the tokens."
        )
    return value


def _check_secret(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise ModelError(f"{variable} must be a text. Quote it in YAML, or leave it empty.")
    if value and len(value) < _MIN_SECRET:
        raise ModelError(
            f"{variable} is shorter than {_MIN_SECRET} characters. Leave it empty to have one"
            " generated, or take one from `openssl rand -base64 32`."
        )
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ModelError(
            f"{variable} has a line break or another control character, often the end of a file"
            " it was read from. Remove it."
        )
    return value


def _check_bool(variable: str, value: Any, _spec: Mapping[str, Any]) -> bool:
    if not isinstance(value, bool):
        raise ModelError(f"{variable} must be true or false, without quotes.")
    return value


def _check_list(variable: str, value: Any, spec: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{variable} must be a list, e.g. {variable}: {spec['example']}.")
    return value


def _check_labels(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    labels = _check_list(variable, value, spec)
    for label in labels:
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise ModelError(
                f"{variable} has {label!r}, which is no label of a domain. Write it in lower case"
                " letters, digits and hyphens inside, at most 63, in quotes if it is a number."
            )
        if label in spec.get("reserved", ()):
            raise ModelError(
                f"{variable} has {label}, which is a component or a path of the server itself."
                " Choose another name."
            )
        if labels.count(label) > 1:
            raise ModelError(f"{variable} has {label} twice. Remove one.")
    return labels


def _check_int(variable: str, value: Any, spec: Mapping[str, Any]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(
            f"{variable} must be a whole number without quotes; on the command line,"
            f" -e '{{\"{variable}\": {spec['default']}}}'."
        )
    if not spec["min"] <= value <= spec["max"]:
        raise ModelError(f"{variable} must be between {spec['min']} and {spec['max']}.")
    return value


def _check_by_host(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(
            f"{variable} must map hosts of Prosody, e.g. {variable}: {spec['example']}."
        )
    return value


def _check_host_modules(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    hosts = _check_by_host(variable, value, spec)
    for key, modules in hosts.items():
        if not isinstance(modules, list) or not all(
            isinstance(each, str) and _MODULE.fullmatch(each) for each in modules
        ):
            raise ModelError(
                f"{variable}.{key} must be a list of names of modules, without mod_ and .lua, e.g."
                f" {variable}: {spec['example']}."
            )
    return hosts


def _check_host_settings(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    hosts = _check_by_host(variable, value, spec)
    for key, settings in hosts.items():
        if not isinstance(settings, dict) or not all(
            isinstance(each, str) and _SETTING.fullmatch(each) for each in settings
        ):
            raise ModelError(
                f"{variable}.{key} must map names of settings (lower case letters, digits, _) to"
                f" values, e.g. {variable}: {spec['example']}."
            )
        for name, each in settings.items():
            if _has_nothing(each):
                raise ModelError(
                    f"{variable}.{key}.{name} has no value. Give it one, or remove it."
                )
    return hosts


def _check_versions(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ModelError(
            f"{variable} must map packages to versions, e.g. {variable}: {spec['example']}."
        )
    for name, version in value.items():
        if not isinstance(name, str) or not _PACKAGE.fullmatch(name):
            raise ModelError(
                f"{variable} has {name!r}, which is no name of a package. Correct it, e.g."
                f" {variable}: {spec['example']}."
            )
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ModelError(
                f"{variable}.{name} is no version of a package. Write it as the package manager"
                f" prints it, in quotes, e.g. {variable}: {spec['example']}."
            )
    return value


def _has_nothing(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(_has_nothing(each) for each in inside)


def _check_url(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    if value != "" and (not isinstance(value, str) or not _URL.fullmatch(value)):
        raise ModelError(
            f"{variable} must be an https address without spaces or quotes, e.g."
            " https://login.example.org/{room}."
        )
    return str(value)


_CHECKS: dict[str, _Check] = {
    "domain": _check_domain,
    "name": _check_name,
    "secret": _check_secret,
    "bool": _check_bool,
    "int": _check_int,
    "list": _check_list,
    "labels": _check_labels,
    "url": _check_url,
    "host_modules": _check_host_modules,
    "host_settings": _check_host_settings,
    "versions": _check_versions,
}


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`` Did you mean x?``, or nothing where no candidate is near."""
    near = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


@functools.lru_cache(maxsize=8)
def load_features(folder: str) -> dict[str, Any]:
    """Feature name to the content of its file, read once a process."""
    features = {}
    for path in sorted(Path(folder).glob("*.yml")):
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 — a safe loader
        unknown = set(content) - _FEATURE_KEYS
        if unknown:
            raise ModelError(f"{path}: unknown key {', '.join(sorted(unknown))}.")
        features[path.stem] = content
    if not features:
        raise ModelError(f"There is no feature file in {folder}.")
    return features


def _check_feature_names(variable: str, features: Mapping[str, Any], wanted: Iterable[Any]) -> None:
    seen = set()
    for name in wanted:
        if not isinstance(name, str) or name not in features:
            optional = ", ".join(each for each in features if each not in ALWAYS_ON)
            raise ModelError(
                f"{variable} names {name!r}, which is no feature.{nearest(str(name), features)}"
                f" The optional features are: {optional}."
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
    features: Mapping[str, Any], wanted: list[Any], unwanted: Sequence[Any] = ()
) -> dict[str, str]:
    """The features that are on and why, or an error on unknown, doubled or clashing ones.

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
        if name in wanted:
            why.setdefault(name, "asked for in jitsi_features")
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


def check_names(features: Mapping[str, Any], names: Iterable[str], known: Iterable[str]) -> None:
    """Refuses a variable that neither a feature nor a role (``known``) has."""
    exist = {f"jitsi_{option}" for each in features.values() for option in each.get("options", {})}
    exist.update(known)
    for variable in names:
        if variable not in exist:
            raise ModelError(
                f"{variable} is no variable of Vestibule.{nearest(variable, sorted(exist))}"
                " Correct it or remove it; docs/variables.md lists them all."
            )


def component_labels(features: Mapping[str, Any]) -> set[str]:
    """Labels that stand before the domain in the name of a component, whether it is on or off."""
    suffix = ".{{ options.domain }}"
    return {
        label
        for feature in features.values()
        for name in feature.get("names", {}).values()
        if name.endswith(suffix)
        for label in name.removesuffix(suffix).rpartition("@")[2].split(".")
    }


def read_options(
    features: Mapping[str, Any], chosen: Iterable[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The operator's choices, checked, with defaults. ``given`` maps ``jitsi_x`` to a value."""
    for name, feature in features.items():
        for variable in (f"jitsi_{option}" for option in feature.get("options", {})):
            if variable in given and name not in chosen:
                raise ModelError(
                    f"{variable} belongs to the feature {name}, which is off. Add {name} to"
                    f" jitsi_features, or remove {variable}."
                )
    options = {}
    for name in chosen:
        for option, spec in features[name].get("options", {}).items():
            variable = f"jitsi_{option}"
            if spec["type"] == "labels":
                reserved = component_labels(features).union(spec.get("reserved", ()))
                spec = {**spec, "reserved": reserved}  # noqa: PLW2901 — the spec with what it lacks
            value = given.get(variable, spec.get("default"))
            options[option] = _CHECKS[spec["type"]](variable, value, spec)
    return options


def _check_lengths(names: Mapping[str, str]) -> None:
    for address in names.values():
        host = address.rpartition("@")[2]
        if len(host) > _MAX_DOMAIN:
            raise ModelError(
                f"jitsi_domain is too long: the component {host.split('.')[0]} would have a name"
                f" of {len(host)} characters, and {_MAX_DOMAIN} are allowed. Choose a shorter one."
            )


class _Merger:
    """Merges features one after the other and remembers who set what."""

    def __init__(self) -> None:
        self._setters: dict[tuple[str, ...], str] = {}

    def merge(
        self, target: dict[str, Any], source: Mapping[str, Any], owner: str, path: tuple[str, ...]
    ) -> None:
        for key, value in source.items():
            here = (*path, key)
            if isinstance(value, Mapping) and isinstance(target.setdefault(key, {}), dict):
                self._setters.setdefault(here, owner)
                self.merge(target[key], value, owner, here)
            elif key in ("modules", "guards", "notes"):
                entries = target.setdefault(key, [])
                entries.extend(entry for entry in value if entry not in entries)
            elif here in self._setters:
                raise ModelError(
                    f"Both {self._setters[here]} and {owner} set {'.'.join(map(str, here))}."
                    f" One key has one owner: remove it from {owner}."
                )
            else:
                self._setters[here] = owner
                target[key] = value


class _Absent(ChainableUndefined):
    """What a rule asks for and the model does not have: false, empty, and so is what is in it."""


@functools.cache
def _environment(undefined: type[Undefined]) -> Environment:
    return Environment(undefined=undefined)  # noqa: S701 — makes no HTML


@functools.cache
def _compile(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """What replaces ``{{ … }}`` in a text, given ``names``, ``options`` and ``features``.

    A text that is one expression keeps the type of its value.
    """
    alone = _REFERENCE.fullmatch(text)
    if alone:
        part, key = alone.groups()
        return lambda variables: variables[part][key]
    if "{{" not in _REFERENCE.sub("", text):  # most of them, and Jinja compiles slowly
        return lambda variables: _REFERENCE.sub(
            lambda found: str(variables[found[1]][found[2]]), text
        )
    expression = _EXPRESSION.fullmatch(text)
    if not expression:
        return _environment(StrictUndefined).from_string(text).render
    # Jinja's own native types would turn the issuer "123" into a number
    evaluate = _environment(StrictUndefined).compile_expression(
        expression[1], undefined_to_none=False
    )

    def value_of(variables: Mapping[str, Any]) -> Any:
        value = evaluate(variables)
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()
        return value

    return value_of


def _substitute(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """The value with every ``{{ … }}`` in its texts replaced."""
    if isinstance(value, str):
        if "{{" not in value:
            return value
        try:
            return _compile(value)(variables)
        except (KeyError, UndefinedError) as error:
            raise ModelError(f"Feature {where}: {error} is not defined in {value}.") from error
    if isinstance(value, dict):
        return {key: _substitute(each, variables, where) for key, each in value.items()}
    if isinstance(value, list):
        return [_substitute(each, variables, where) for each in value]
    return value


class Rules:
    """The contradictions in a file: conditions over the compiled model that must not hold."""

    def __init__(self, path: str) -> None:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 — a safe loader
        self.rules: dict[str, dict[str, str]] = content["contradictions"]
        self._read_on = [
            (re.compile("|".join(each["settings"])), each) for each in content["read_on"]
        ]
        # One expression for all: each has a price of its own in Jinja
        together = ", ".join(f"({rule['when']})" for rule in self.rules.values())
        self._evaluate = _environment(_Absent).compile_expression(f"[{together}]")

    def check(self, hosts: Mapping[str, Any], model: Mapping[str, Any]) -> None:
        """Refuses a model. ``hosts`` are its hosts of Prosody by key."""
        for key, host in hosts.items():
            for setting in host["settings"]:
                for pattern, place in self._read_on:
                    if pattern.fullmatch(setting) and host.get(place["attribute"]) != place["is"]:
                        extra = setting in model["options"]["extra_settings"].get(key, {})
                        raise ModelError(
                            f"{'jitsi_extra_settings' if extra else 'A feature'} sets {setting} on"
                            f" the host {key}, where nothing reads it. Set it on"
                            f" {place['instead']}."
                        )
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


load_rules = functools.cache(Rules)


def build_model(
    features: Mapping[str, Any], given: Mapping[str, Any], rules: Rules | None = None
) -> dict[str, Any]:
    """The model for the variables ``given``, as in RETURN.

    Raises ModelError with a sentence for the operator.
    """
    check_names(features, given, ())
    base = features["base"]["options"]
    wanted = _check_list("jitsi_features", given.get("jitsi_features", []), base["features"])
    unwanted = _check_list(
        "jitsi_features_off", given.get("jitsi_features_off", []), base["features_off"]
    )
    why = choose(features, wanted, unwanted)
    chosen = list(why)
    options = read_options(features, chosen, given)

    public = {key: value for key, value in options.items() if "secret" not in key}
    names: dict[str, str] = {}
    for name in chosen:
        own = features[name].get("names", {})
        names.update(_substitute(own, {"options": public}, f"{name}.names"))
    _check_lengths(names)
    variables = {"options": public, "names": names, "features": chosen}

    merger = _Merger()
    model = _merge(features, chosen, variables, merger)
    prosody = model["prosody"]
    hosts = {
        key: _finish_host(key, host)
        for key, host in _with_extras(features, merger, prosody, options).items()
    }
    prosody["hosts"] = {host["name"]: _without(host, "name") for host in hosts.values()}
    prosody.setdefault("settings", {})["fail_closed_required"] = _required(prosody["hosts"])
    prosody["modules"] = [*prosody.pop("guards", []), *prosody.get("modules", [])]
    whole = {
        "features": chosen,
        "why": why,
        "off": why_off(features, chosen, unwanted),
        "options": public,
        "names": names,
        **model,
    }
    (rules or load_rules(CONTRADICTIONS)).check(hosts, whole)
    return whole


def _merge(
    features: Mapping[str, Any],
    chosen: Iterable[str],
    variables: Mapping[str, Any],
    merger: _Merger,
) -> dict[str, Any]:
    """What the chosen features say, merged by part of the model."""
    parts: dict[str, dict[str, Any]] = {"prosody": {}, "jicofo": {}, "web": {}}
    needed_by: dict[str, list[str]] = {}
    cases: list[str] = []
    may: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []
    for name in chosen:
        feature = {
            key: _substitute(features[name].get(key, empty), variables, f"{name}.{key}")
            for key, empty in _EMPTY.items()
        }
        for part, content in parts.items():
            merger.merge(content, feature[part], f"the feature {name}", (part,))
        for module in dict.fromkeys(_needed_by(feature["prosody"])):
            needed_by.setdefault(module, []).append(name)
        for module, read in feature["reads"].items():
            for option in read:
                needed_by.setdefault(f"{module}.{option}", []).append(name)
        for entry in feature["proves"]:
            case = entry if isinstance(entry, str) else entry["case"]
            if (isinstance(entry, str) or entry["when"]) and case not in cases:
                cases.append(case)
        for actor, cells in feature["may"].items():
            may.setdefault(actor, {}).update(cells)
        warnings += [entry["text"] for entry in feature["warnings"] if entry["when"]]
    return {
        **parts,
        "needed_by": needed_by,
        "cases": cases,
        # Nobody is an actor who has no way in: guests without their feature
        "may": {actor: cells for actor, cells in may.items() if "log in" in cells},
        "warnings": warnings,
    }


def _with_extras(
    features: Mapping[str, Any],
    merger: _Merger,
    prosody: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The hosts that there are, by key, with what the inventory adds to them."""
    hosts: dict[str, Any] = prosody["hosts"]
    exist = {
        key
        for feature in features.values()
        for key, host in feature.get("prosody", {}).get("hosts", {}).items()
        if "name" in host
    }
    for key in hosts:
        if key not in exist:
            raise ModelError(
                f"prosody.hosts.{key} has no name in any feature file.{nearest(key, exist)}"
            )
    # A feature may add to a host of another one, which is off
    named = {key: host for key, host in hosts.items() if "name" in host}
    taken = {*prosody.get("settings", {}), *_OURS_ALONE}
    for option, part in (("extra_modules", "modules"), ("extra_settings", "settings")):
        for key, content in options[option].items():
            if key not in named:
                raise ModelError(
                    f"jitsi_{option} names the host {key!r}, which is not deployed."
                    f"{nearest(str(key), named)} The hosts are: {', '.join(named)}."
                )
            for setting in content:
                if part == "settings" and setting in taken:
                    raise ModelError(
                        f"jitsi_{option}.{key} sets {setting}, which is settled for all hosts."
                        f" Remove it from jitsi_{option}."
                    )
            merger.merge(named[key], {part: content}, f"jitsi_{option}", ("prosody", "hosts", key))
    return named


def _needed_by(content: Mapping[str, Any]) -> Iterator[str]:
    """The Prosody modules that the part C(prosody) of one feature loads."""
    yield from [*content.get("modules", []), *content.get("guards", [])]
    for host in content.get("hosts", {}).values():
        yield from [*host.get("modules", []), *host.get("guards", [])]
        if "component" in host:
            yield host["component"]
        if "authentication" in host.get("settings", {}):
            yield f"auth_{host['settings']['authentication']}"


def _without(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def _finish_host(key: str, host: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(host) - _HOST_KEYS
    if unknown:
        raise ModelError(f"prosody.hosts.{key}: unknown key {', '.join(sorted(unknown))}.")
    guards = host.get("guards", [])
    return {
        "settings": {},
        "comments": {},
        **host,
        "guards": guards,
        "modules": [*guards, *(each for each in host.get("modules", []) if each not in guards)],
    }


def _required(hosts: Mapping[str, Any]) -> dict[str, Any]:
    """What mod_fail_closed insists on: the guards of each host that has any."""
    return {name: host["guards"] for name, host in hosts.items() if host["guards"]}


@functools.lru_cache(maxsize=8)
def _compiled(folder: str, given: str) -> dict[str, Any]:
    """The model for ``given`` in JSON. One task reads many parts of the same model."""
    rules = load_rules(str(Path(folder).parent / "contradictions.yml"))
    return build_model(load_features(folder), json.loads(given), rules)


def jitsi_model(
    given: Mapping[str, Any],
    features: str = FEATURES,
    names: Iterable[str] = (),
    known: Iterable[str] = (),
    problem_only: bool = False,
) -> dict[str, Any] | str:
    """Ansible's shell around `build_model`."""
    if not isinstance(given, Mapping):
        raise AnsibleFilterError(f"jitsi_model takes a mapping, not {type(given).__name__}.")
    try:
        check_names(load_features(str(features)), names, known)
        model = _compiled(str(features), json.dumps(given, default=repr))
    except ModelError as error:
        if problem_only:
            return str(error)
        raise AnsibleFilterError(str(error)) from error
    return "" if problem_only else model


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_model": jitsi_model}
