"""The chosen features merged into one model. Every key has one owner."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vestibule.model import ModelError
from vestibule.model.client import asked_by
from vestibule.model.deployment import BRIDGES, TURN, WHOLE, deployment_of
from vestibule.model.expressions import substitute
from vestibule.model.features import (
    check_names,
    choose,
    is_foreign,
    load_features,
    nearest,
    why_off,
)
from vestibule.model.options import check_foreign, check_lengths, check_list, read_options
from vestibule.model.prosody_settings import check_module, check_setting
from vestibule.model.role_variables import specs
from vestibule.model.rules import Rules, load_rules
from vestibule.numbers import changed_number
from vestibule.values import type_name

# What becomes part of the model, and what a feature without it says
_EMPTY: Mapping[str, Any] = {
    "prosody": {},
    "jicofo": {},
    "bridge": {},
    "web": {},
    "tenant_web": {},
    "proves": [],
    "reads": {},
    "may": {},
    "opens": [],
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
# Settings by which Prosody or mod_fail_closed would load something else than the model says
_OURS_ALONE = frozenset(
    {"fail_closed_required", "modules_disabled", "modules_enabled", "plugin_paths"}
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
            elif path[0] == "prosody" and (
                key in ("modules", "guards", "notes")
                or here == ("prosody", "settings", "external_services")
            ):
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


def compile_model(
    given: Mapping[str, Any],
    names: Iterable[str],
    folder: str,
    inventory: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The model for the operator's variables, compiled once a process for each folder of features.

    ``names`` are those of all variables that are set, to find misspelt ones. ``inventory`` has the
    ``host``, the ``groups`` and the ``domains`` of all hosts, where groups split a server. Raises
    ModelError with a sentence for the operator.
    """
    features = load_features(folder)
    foreign = given.get("jitsi_foreign_variables", [])
    check_foreign(features, specs(), foreign)
    check_names(features, [*given, *names], specs(), foreign)
    given = {name: value for name, value in given.items() if not is_foreign(name, foreign)}
    problem = changed_number(given)
    if problem:
        raise ModelError(problem)
    plain = json.dumps({name: _plain(name, given[name]) for name in given})
    return _compiled(folder, plain, json.dumps(inventory or {}))


def _plain(place: str, value: Any) -> Any:
    """The value, or an error for what neither JSON nor a configuration can say, as dates."""
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{place}.{key}", each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{place}[{index}]", each) for index, each in enumerate(value)]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise ModelError(f"{place} is of type {type_name(value)}. Put it in quotes to have a text.")


@functools.lru_cache(maxsize=8)
def _compiled(folder: str, given: str, inventory: str) -> dict[str, Any]:
    return build_model(
        load_features(folder), json.loads(given), load_rules(folder), json.loads(inventory)
    )


def build_model(
    features: Mapping[str, Any],
    given: Mapping[str, Any],
    rules: Rules | None = None,
    inventory: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The model for the variables ``given``, as the filter jitsi_model documents it.

    Raises ModelError with a sentence for the operator.
    """
    check_names(features, given, ())
    base = features["base"]["options"]
    wanted = check_list("jitsi_features", given.get("jitsi_features", []), base["features"])
    unwanted = check_list(
        "jitsi_features_off", given.get("jitsi_features_off", []), base["features_off"]
    )
    deployment = deployment_of(**inventory) if inventory else dict(WHOLE)
    groups = [group for group in (BRIDGES, TURN) if deployment[group]]
    why = choose(features, wanted, unwanted, groups)
    chosen = list(why)
    options = read_options(features, chosen, given)

    public = {key: value for key, value in options.items() if "secret" not in key}
    names: dict[str, str] = {}
    for name in chosen:
        own = features[name].get("names", {})
        names.update(substitute(own, {"options": public}, f"{name}.names"))
    machines: dict[str, dict[str, Any]] = {}
    bridges: list[dict[str, str]] = []
    accounts: dict[str, str] = {}
    for name in chosen:
        said = features[name].get("machines", {})
        said = substitute(said, {"options": public, "names": names}, f"{name}.machines")
        for kind, machine in said.items():
            machines[kind] = {"networks": [], **machines.get(kind, {}), **machine}
        said = features[name].get("bridges", {})
        said = substitute(said, {"options": public, "names": names}, f"{name}.bridges")
        own = {each["account"] for each in said.values()}
        if deployment["bridge_beside"]:
            bridges += [{"name": bridge, **each} for bridge, each in said.items()]
        for user, password in features[name].get("accounts", {}).items():
            if names[user] not in own or deployment["bridge_beside"]:
                accounts[names[user]] = password
        for each in deployment["bridges"] if "remote_bridges" in features[name] else []:
            known = {"options": public, "names": names, "bridge": each}
            bridge = substitute(features[name]["remote_bridges"], known, f"{name}.remote_bridges")
            bridges.append({**each, **bridge})
            accounts[bridge["account"]] = bridge["password"]
    check_lengths(names, accounts)
    turn_servers = _turn_servers(features, chosen, options, names, deployment)
    variables = {
        "options": public,
        "names": names,
        "features": chosen,
        # What every door lets in that knows machines: their hosts
        "machines": [machine["host"] for machine in machines.values()],
        "machine_networks": [each for machine in machines.values() for each in machine["networks"]],
        "bridges": [bridge["account"] for bridge in bridges],
        "deployment": deployment,
        "turn_servers": turn_servers,
        "breweries": {machine["host"]: machine["brewery"].lower() for machine in machines.values()},
    }

    merger = _Merger()
    model = _merge(features, chosen, variables, merger)
    for part, option in (("jicofo", "extra_jicofo"), ("bridge", "extra_videobridge")):
        merger.merge(model[part], options.get(option, {}), f"jitsi_{option}", (part,))
    extra = options["web_extra_config"]
    merger.merge(model["web"], extra, "jitsi_web_extra_config", ("web",))
    others = asked_by(extra, options["domain"])
    model["warnings"] += [each.warning for each in others]
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
        "machines": machines,
        "bridges": bridges,
        "deployment": deployment,
        "here": _here(chosen, options, names, deployment, turn_servers),
        "turn_servers": turn_servers,
        "accounts": accounts,
        "accounts_off": _accounts_off(features, chosen, public, prosody["hosts"]),
        "web_others": list(dict.fromkeys(each.origin for each in others if each.origin)),
        **model,
    }
    if "bridge" in chosen and not bridges:
        raise ModelError(
            f"{deployment['signalling']} would have no bridge: no host of {options['domain']} is in"
            " the group bridges. Put one there, or the server itself; or put bridge into"
            " jitsi_features_off."
        )
    (rules or load_rules()).check(hosts, whole)
    _check_extras(options, hosts)
    return whole


def _turn_servers(
    features: Mapping[str, Any],
    chosen: Iterable[str],
    options: Mapping[str, Any],
    names: Mapping[str, str],
    deployment: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """All TURN servers of a server: by which name and at which ports people find each."""
    if "turn" not in chosen:
        if deployment["turn_hosts"]:
            raise ModelError(
                f"turn is in jitsi_features_off, and the group {TURN} of the inventory has"
                f" {' and '.join(deployment['turn_hosts'])} in it. Take turn out of"
                " jitsi_features_off, or these out of that group."
            )
        return []
    own = features["turn"]["options"]
    beside = {
        **{option: options[option] for option in own},
        "host": deployment["signalling"],
        "name": names["domain"],
        "has_bridge": "bridge" in chosen and deployment["bridge_beside"],
        "beside": True,
        "acme": False,  # its certificate is that of the pages
    }
    elsewhere = [
        {
            **{option: spec["default"] for option, spec in own.items()},
            **{key: said for key, said in each.items() if said not in (None, "")},
            "has_bridge": "bridge" in chosen and each["has_bridge"],
            "beside": False,
            "acme": each.get("certificate") == "acme",
        }
        for each in deployment["turn"]
    ]
    for each in elsewhere:
        if each["name"] in names.values():
            raise ModelError(
                f"{each['host']} would be found by the name {each['name']}, which this server has"
                " already. Set another jitsi_turn_name for it."
            )
    servers = [*([beside] if deployment["turn_beside"] else []), *elsewhere]
    if not servers:
        raise ModelError(
            f"{deployment['signalling']} would have no TURN server: no host of {options['domain']}"
            f" is in the group {TURN}. Put one there, or the server itself; or put turn into"
            " jitsi_features_off."
        )
    return servers


def _here(
    chosen: Iterable[str],
    options: Mapping[str, Any],
    names: Mapping[str, str],
    deployment: Mapping[str, Any],
    turn_servers: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What the host itself runs beside Prosody, and by which name browsers find it."""
    turn = "turn" in chosen and deployment["has_turn"]
    own = [
        each["name"]
        for each in turn_servers
        if each["host"] == deployment["host"] and not each["beside"]
    ]
    return {
        "bridge": "bridge" in chosen and deployment["has_bridge"],
        "turn": turn,
        # Whether it gets its certificate from an authority
        "acme": options["certificate"] == "acme" and (deployment["is_signalling"] or turn),
        "turn_name": own[0] if own else "",  # of a TURN server with a name of its own
        "name": own[0] if own else names["domain"],
    }


def _check_extras(options: Mapping[str, Any], hosts: Mapping[str, Any]) -> None:
    """Refuses modules and settings of the inventory that Prosody would not take."""
    foreign = options["foreign_variables"]
    for key, modules in options["extra_modules"].items():
        for module in modules:
            component = hosts[key]["kind"] == "Component"
            check_module(f"jitsi_extra_modules.{key}", module, foreign, component=component)
    for key, settings in options["extra_settings"].items():
        for setting, value in settings.items():
            check_setting(f"jitsi_extra_settings.{key}", setting, value, foreign)


def _accounts_off(
    features: Mapping[str, Any],
    chosen: Iterable[str],
    public: Mapping[str, Any],
    hosts: Mapping[str, Any],
) -> list[str]:
    """Accounts of features that are off, on hosts that are there all the same."""
    off = {name: each for name, each in features.items() if name not in chosen}
    users = [
        substitute(feature["names"][user], {"options": public}, f"{name}.names")
        for name, feature in off.items()
        for user in feature.get("accounts", {})
    ]
    return [user for user in users if user.partition("@")[2] in hosts]


def _merge(
    features: Mapping[str, Any],
    chosen: Iterable[str],
    variables: Mapping[str, Any],
    merger: _Merger,
) -> dict[str, Any]:
    """What the chosen features say, merged by part of the model."""
    parts: dict[str, dict[str, Any]] = {
        part: {} for part in ("prosody", "jicofo", "bridge", "web", "tenant_web")
    }
    needed_by: dict[str, list[str]] = {}
    cases: list[str] = []
    may: dict[str, dict[str, Any]] = {}
    opens: list[dict[str, Any]] = []
    warnings: list[str] = []
    for name in chosen:
        feature = {
            key: substitute(features[name].get(key, empty), variables, f"{name}.{key}")
            for key, empty in _EMPTY.items()
        }
        for part, content in parts.items():
            merger.merge(content, feature[part], f"the feature {name}", (part,))
        for server in variables["turn_servers"]:
            known = {**variables, "turn": server}
            said = substitute(features[name].get("turn_servers", {}), known, f"{name}.turn_servers")
            named = {"settings": {"external_services": said.get("services", [])}} if said else {}
            merger.merge(parts["prosody"], named, f"the feature {name}", ("prosody",))
            opens += [
                _without(each, "when")
                for each in said.get("opens", [])
                if _holds(name, {"when": True, **each})
            ]
        for module in dict.fromkeys(_needed_by(feature["prosody"])):
            needed_by.setdefault(module, []).append(name)
        for module, read in feature["reads"].items():
            for option in read:
                needed_by.setdefault(f"{module}.{option}", []).append(name)
        for entry in feature["proves"]:
            case = entry if isinstance(entry, str) else entry["case"]
            if (isinstance(entry, str) or _holds(name, entry)) and case not in cases:
                cases.append(case)
        for actor, cells in feature["may"].items():
            may.setdefault(actor, {}).update(cells)
        opens += feature["opens"]
        warnings += [entry["text"] for entry in feature["warnings"] if _holds(name, entry)]
    return {
        **parts,
        "needed_by": needed_by,
        "cases": cases,
        # Nobody is an actor who has no way in: guests without their feature
        "may": {actor: cells for actor, cells in may.items() if "log in" in cells},
        "opens": opens,
        "warnings": warnings,
    }


def _holds(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether the condition of a case or a warning holds. As text, any would."""
    if isinstance(entry["when"], str):
        raise ModelError(
            f"Feature {name}: the condition {entry['when']!r} is a text. Write it as one"
            " {{ … }} without a line break in it."
        )
    return bool(entry["when"])


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
