"""Filter ``jitsi_model``: what the operator wants, compiled into one model of the server."""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml
from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined, Undefined, UndefinedError

DOCUMENTATION = r"""
name: jitsi_model
short_description: Compile the operator's jitsi_* variables and features into one model
description:
  - Merges the feature files onto the base and returns plain data, touching no host.
  - Lists append without duplicates. A setting may be set by one feature only.
  - Unknown features, misspelt variables, unmet requirements and contradictions are errors that
    name the variable and the remedy.
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
    configuration of each program, C(cases) the names of the access cases that prove it.
  type: dict
"""

# The C loader parses ten times faster, and every worker of Ansible parses anew.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FEATURES = str(Path(__file__).resolve().parents[1] / "roles/jitsi_access/features")
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
    }
)
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
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_URL = re.compile(r"https://[^\s\"'\\<>`]{1,2000}")
_MIN_SECRET = 32  # characters: RFC 7518 section 3.2 asks for a key as long as the hash
_MAX_DOMAIN = 253  # characters, RFC 1035
_LONGEST_PREFIX = "internal.auth."


class ModelError(ValueError):
    """The operator's choices make no model. The message is a sentence for the operator."""


class _Check(Protocol):
    def __call__(self, variable: str, value: Any) -> Any: ...


def _check_domain(variable: str, value: Any) -> str:
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
    if len(_LONGEST_PREFIX + value) > _MAX_DOMAIN:
        raise ModelError(
            f"{variable} is too long: with the prefix {_LONGEST_PREFIX} it exceeds"
            f" {_MAX_DOMAIN} characters. Choose a shorter name."
        )
    return value


def _check_name(variable: str, value: Any) -> str:
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


def _check_secret(variable: str, value: Any) -> str:
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


def _check_bool(variable: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ModelError(f"{variable} must be true or false, without quotes.")
    return value


def _check_list(variable: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ModelError(f"{variable} must be a list, e.g. {variable}: [guests].")
    return value


def _check_int(variable: str, value: Any, *, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{variable} must be a whole number, without quotes.")
    if not minimum <= value <= maximum:
        raise ModelError(f"{variable} must be between {minimum} and {maximum}.")
    return value


def _check_url(variable: str, value: Any) -> str:
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
    "list": _check_list,
    "url": _check_url,
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


def choose(
    features: Mapping[str, Any], wanted: list[Any], unwanted: Sequence[Any] = ()
) -> list[str]:
    """Names of the features that are on, or an error on unknown, doubled or clashing ones."""
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
    by_default = [
        name
        for name, feature in features.items()
        if feature.get("default")
        and name not in (*wanted, *unwanted)
        and not any(other in wanted for other in feature.get("yields_to", []))
    ]
    chosen = [*ALWAYS_ON, *by_default, *(name for name in wanted if name not in ALWAYS_ON)]
    for name in chosen:
        for other in features[name].get("requires", []):
            if other not in chosen:
                raise ModelError(
                    f"jitsi_features has {name}, which requires {other}. Add {other} to"
                    f" jitsi_features, or remove {name}."
                )
        for other, reason in features[name].get("conflicts", {}).items():
            if other in chosen:
                raise ModelError(
                    f"jitsi_features has both {name} and {other}. {reason} Remove one of them."
                )
    return chosen


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


def read_options(
    features: Mapping[str, Any], chosen: list[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The operator's choices, checked, with defaults. ``given`` maps ``jitsi_x`` to a value."""
    for name, feature in features.items():
        for variable in (f"jitsi_{option}" for option in feature.get("options", {})):
            if variable in given and name not in chosen:
                raise ModelError(
                    f"{variable} belongs to the feature {name}, which is off. Add it to"
                    f" jitsi_features, or remove {variable}."
                )
    options = {}
    for name in chosen:
        for option, spec in features[name].get("options", {}).items():
            variable = f"jitsi_{option}"
            value = given.get(variable, spec.get("default"))
            if spec["type"] == "int":
                options[option] = _check_int(
                    variable, value, minimum=spec["min"], maximum=spec["max"]
                )
            else:
                options[option] = _CHECKS[spec["type"]](variable, value)
    return options


class _Merger:
    """Merges features one after the other and remembers who set what."""

    def __init__(self) -> None:
        self._setters: dict[tuple[str, ...], str] = {}

    def merge(
        self, target: dict[str, Any], source: Mapping[str, Any], feature: str, path: tuple[str, ...]
    ) -> None:
        for key, value in source.items():
            here = (*path, key)
            if isinstance(value, Mapping):
                self.merge(target.setdefault(key, {}), value, feature, here)
            elif key in ("modules", "guards", "notes"):
                entries = target.setdefault(key, [])
                entries.extend(entry for entry in value if entry not in entries)
            elif here in self._setters:
                raise ModelError(
                    f"The features {self._setters[here]} and {feature} both set"
                    f" {'.'.join(here)}. One key has one owner: remove it from one of the files."
                )
            else:
                self._setters[here] = feature
                target[key] = value


class _Substituter:
    """Replaces ``{{ … }}`` in the strings of a feature file, keeping native types."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._environment = Environment(undefined=StrictUndefined)  # noqa: S701 — makes no HTML
        self._variables = variables
        self._rendered: dict[str, Any] = {}

    def apply(self, value: Any, where: str) -> Any:
        if isinstance(value, str):
            return self._text(value, where) if "{{" in value else value
        if isinstance(value, Mapping):
            return {key: self.apply(each, f"{where}.{key}") for key, each in value.items()}
        if isinstance(value, list):
            return [self.apply(each, where) for each in value]
        return value

    def _text(self, text: str, where: str) -> Any:
        if text not in self._rendered:
            try:
                self._rendered[text] = self._evaluate(text)
            except UndefinedError as error:
                raise ModelError(f"Feature {where}: {error}.") from error
        return self._rendered[text]

    def _evaluate(self, text: str) -> Any:
        alone = _EXPRESSION.fullmatch(text)
        if not alone:
            return self._environment.from_string(text).render(self._variables)
        # Jinja's own native types would turn the issuer "123" into a number
        expression = self._environment.compile_expression(alone[1], undefined_to_none=False)
        value = expression(**self._variables)
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()
        return value


def build_model(features: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The model for the variables ``given``, as in RETURN.

    Raises ModelError with a sentence for the operator.
    """
    check_names(features, given, ())
    wanted = _check_list("jitsi_features", given.get("jitsi_features", []))
    unwanted = _check_list("jitsi_features_off", given.get("jitsi_features_off", []))
    chosen = choose(features, wanted, unwanted)
    options = read_options(features, chosen, given)

    public = {key: value for key, value in options.items() if "secret" not in key}
    options_only = _Substituter({"options": public})
    names: dict[str, str] = {}
    for name in chosen:
        names.update(options_only.apply(features[name].get("names", {}), f"{name}.names"))
    substituter = _Substituter({"options": public, "names": names, "features": chosen})

    merger = _Merger()
    model: dict[str, Any] = {"prosody": {}, "jicofo": {}, "web": {}}
    cases: list[str] = []
    for name in chosen:
        feature = features[name]
        for part in ("prosody", "jicofo", "web"):
            content = substituter.apply(feature.get(part, {}), f"{name}.{part}")
            merger.merge(model[part], content, name, (part,))
        for entry in substituter.apply(feature.get("proves", []), f"{name}.proves"):
            case = entry if isinstance(entry, str) else entry["case"]
            if (isinstance(entry, str) or entry["when"]) and case not in cases:
                cases.append(case)

    prosody = model["prosody"]
    prosody["hosts"] = {
        host["name"]: _finish_host(key, host)
        for key, host in prosody["hosts"].items()
        if "name" in host  # a feature may add to a host of another one, which is off
    }
    prosody.setdefault("settings", {})["fail_closed_required"] = _required(prosody["hosts"])
    prosody["modules"] = [*prosody.pop("guards", []), *prosody.get("modules", [])]
    return {
        "features": chosen,
        "options": public,
        "names": names,
        **model,
        "cases": cases,
    }


def _finish_host(key: str, host: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(host) - _HOST_KEYS
    if unknown:
        raise ModelError(f"prosody.hosts.{key}: unknown key {', '.join(sorted(unknown))}.")
    guards = host.get("guards", [])
    return {
        "settings": {},
        "comments": {},
        **{name: value for name, value in host.items() if name != "name"},
        "guards": guards,
        "modules": [*guards, *(each for each in host.get("modules", []) if each not in guards)],
    }


def _required(hosts: Mapping[str, Any]) -> dict[str, Any]:
    """What mod_fail_closed insists on: the guards of each host that has any."""
    return {name: host["guards"] for name, host in hosts.items() if host["guards"]}


@functools.lru_cache(maxsize=8)
def _compiled(folder: str, given: str) -> dict[str, Any]:
    """The model for ``given`` in JSON. One task reads many parts of the same model."""
    return build_model(load_features(folder), json.loads(given))


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
