"""The operator's options: of which kind each is, and the sentence for a value that is not."""

from __future__ import annotations

import fnmatch
import ipaddress
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from vestibule.model import ModelError
from vestibule.model.token_keys import check_keys, check_revoked, settle
from vestibule.rendering import LuaValueError, to_lua
from vestibule.secret_strength import weakness
from vestibule.values import LABEL, type_name

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
_URL = re.compile(r"https://[^\s\"'\\<>`]{1,2000}")
# Without a name and a password, which would stand in files and logs
_HTTPS = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~%/?&=+,:-]{0,1000})?"
)
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,99}")
# Debian policy 5.6.1 and 5.6.12; those of Arch are among them, and @ and _ beside
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+._@-]{0,99}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+:~_-]{0,99}")
# Which PyJWT takes for no secret of HS256 (jwt.utils)
_KEY = re.compile(
    r"ssh-(ed25519|rsa|dss)|ecdsa-sha2-nistp|\S+-cert-v01@openssh\.com|.*----[- ]BEGIN "
)
_HOCON_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
# Of a program's file: the word for it, an example of what is below, and what roles put there
_HOCON_FILES = {
    "jitsi_extra_jicofo": ("jicofo.conf", "as below jicofo in jicofo.conf"),
    "jitsi_extra_videobridge": ("jvb.conf", "as in jvb.conf"),
}
_LOGINS = {
    "jitsi_extra_jicofo.xmpp.client.password": "jicofo",
    "jitsi_extra_videobridge.videobridge.apis.xmpp-client.configs": "jitsi_videobridge",
}
# Not __proto__, by which a browser would take the value for what all objects have
_CLIENT_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# With hyphens, as modules of Prosody may have them, which are named there as well
_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,99}\*?")
_MODULE = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
# What IDNA 2003, which Python has, writes otherwise than IDNA 2008, by which domains are sold
_DEVIATIONS = "ßς\u200c\u200d"
_SHORTEST_PREFIX = {4: 8, 6: 32}  # by the version of IP
_MAX_COMMON_NAME = 64  # characters, RFC 5280 (ub-common-name); openssl makes no longer one
_MAX_DOMAIN = 253  # characters, RFC 1035


class _Check(Protocol):
    """Checks the value of a variable by the spec of its option in the feature file."""

    def __call__(self, variable: str, value: Any, spec: Mapping[str, Any], /) -> Any: ...


def _check_domain(variable: str, value: Any, spec: Mapping[str, Any]) -> str:
    if value == spec.get("default") == "":
        return ""
    example = spec.get("example", "meet.example.org")
    hint = f"Put the public name of the server there, e.g. {variable}: {example}."
    if value is None or value == "":
        raise ModelError(
            f"{variable} is not set. Put the public name of the server in"
            f" inventory/<name>/group_vars/all.yml, e.g. {variable}: {example}."
        )
    if not isinstance(value, str):
        raise ModelError(f"{variable} is of type {type_name(value)}, not a text. {hint}")
    if not value.isascii():
        raise ModelError(f"{variable} has characters beyond ASCII. {_ascii_form(variable, value)}")
    if value != value.lower():
        raise ModelError(f"{variable} has capital letters. Write it in lower case. {hint}")
    if ":" in value:
        raise ModelError(f"{variable} has a port or a scheme. {hint}")
    if "_" in value:
        raise ModelError(f"{variable} has an underscore, which host names may not have. {hint}")
    labels = value.split(".")
    if len(labels) < 2 or not all(LABEL.fullmatch(label) for label in labels):
        raise ModelError(f"{variable} is not a fully qualified domain name. {hint}")
    if labels[-1].isdigit():
        raise ModelError(f"{variable} looks like an address. {hint}")
    return value


def _ascii_form(variable: str, domain: str) -> str:
    """What to write instead of a domain with other characters: what certificates and DNS have."""
    remedy = "Write its ASCII form (punycode), which DNS and certificates have"
    if not set(_DEVIATIONS).isdisjoint(domain):
        return f"{remedy}; your registrar says it, as old and new rules (IDNA 2003, 2008) differ."
    try:
        return f"{remedy}: {variable}: {domain.encode('idna').decode()} (by IDNA 2003)."
    except UnicodeError:
        return f"{remedy}, e.g. {variable}: xn--bcher-kva.example."


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


def _check_names(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    names = [_check_name(variable, each, spec) for each in check_list(variable, value, spec)]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"{variable} has {name} twice. Remove one.")
    return names


def _check_kid(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise ModelError(
            f"{variable} is of type {type_name(value)}, not a text. Name the kid of a key of"
            " jitsi_token_keys, in quotes if it is a number."
        )
    return value


def _check_token_keys(variable: str, value: Any, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    return check_keys(variable, value, lambda place, text: _check_secret(place, text, spec))


def _check_secret(variable: str, value: Any, _spec: Mapping[str, Any]) -> str:
    if not isinstance(value, str):
        raise ModelError(
            f"{variable} is of type {type_name(value)}, not a text. Quote it in YAML, or leave it"
            " out to have one generated."
        )
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ModelError(
            f"{variable} has a line break or another control character, often the end of a file"
            " it was read from. Remove it."
        )
    if _KEY.match(value):
        raise ModelError(
            f"{variable} is a key in PEM or SSH form, not a secret of HS256. Take one from"
            " `openssl rand -base64 32`, or leave it out to have one generated."
        )
    return value


def _check_strength(variable: str, secret: str, public: Iterable[str]) -> None:
    """Refuses what can be guessed, and a variable that promises a secret and has none."""
    weak = weakness(secret, public) if secret else "is set and empty"
    if weak:
        raise ModelError(
            f"{variable} {weak}. Leave it out to have one generated, or take one from"
            " `openssl rand -base64 32`."
        )


def _check_bool(variable: str, value: Any, _spec: Mapping[str, Any]) -> bool:
    if not isinstance(value, bool):
        raise ModelError(f"{variable} must be true or false, without quotes.")
    return value


def check_list(variable: str, value: Any, spec: Mapping[str, Any]) -> list[Any]:
    """Refuses what is no list. Raises ModelError, as all checks do."""
    if not isinstance(value, list):
        raise ModelError(f"{variable} must be a list, e.g. {variable}: {spec['example']}.")
    return value


def _check_labels(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    labels = check_list(variable, value, spec)
    for label in labels:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
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
            try:
                to_lua(each)
            except LuaValueError as error:
                raise ModelError(f"{variable}.{key}.{name}: {error}") from None
    return hosts


def _check_hocon(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses what HOCON would take for something else; ``variable`` grows on the way in."""
    file, where = _HOCON_FILES[variable.partition(".")[0]]
    if not isinstance(value, dict):
        raise ModelError(
            f"{variable} must be a mapping, {where}, e.g. {variable}: {spec['example']}."
        )
    for key, each in value.items():
        place = f"{variable}.{key}"
        if not isinstance(key, str) or not _HOCON_KEY.fullmatch(key):
            raise ModelError(
                f"{place} is no key of {file}. Write letters, digits and hyphens, and nest"
                f" what has dots, e.g. {variable}: {spec['example']}."
            )
        if place in _LOGINS:
            raise ModelError(
                f"{place} is set by the role {_LOGINS[place]}, from the secrets of this host."
                " Remove it."
            )
        if isinstance(each, dict):
            _check_hocon(place, each, spec)
        elif _has_nothing(each):
            raise ModelError(f"{place} has no value. Give it one, or remove it.")
        elif isinstance(each, float) and not math.isfinite(each):
            raise ModelError(f"{place} is no number that {file} can have. Use another one.")
    return value


def _check_addresses(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    """Addresses that others reach, as they are usually written. One may stand without a list."""
    found: list[str] = []
    for each in value if isinstance(value, list) else [value]:
        try:
            address = ipaddress.ip_address(each if isinstance(each, str) else "")
        except ValueError:
            raise ModelError(
                f"{variable} has {each!r}, which is no address. Write addresses alone, without name"
                f" or port, in quotes, e.g. {variable}: {spec['example']}."
            ) from None
        if not _may_be_reached(address):
            raise ModelError(
                f"{variable} has {each}, which nobody can reach from another host. Write the"
                f" address that people reach, e.g. {variable}: {spec['example']}."
            )
        if str(address) in found:
            raise ModelError(f"{variable} has {each} twice. Remove one.")
        found.append(str(address))
    return found


def _may_be_reached(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or "%" in str(address)
        or (address.version == 4 and int(address) == 0xFFFFFFFF)
    )


def _check_client(variable: str, value: Any, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Refuses what is no mapping, and what JSON or a browser takes for something else."""
    if not isinstance(value, dict):
        raise ModelError(
            f"{variable} must be a mapping, as in config.js, e.g. {variable}: {spec['example']}."
        )
    for key, each in value.items():
        place = f"{variable}.{key}"
        if not isinstance(key, str) or not _CLIENT_KEY.fullmatch(key):
            raise ModelError(
                f"{variable} has {key!r}, which is no key of config.js. Begin with a letter or"
                f" digit, and write these and . _ - in it, e.g. {variable}: {spec['example']}."
            )
        _check_client_value(place, each, spec)
    return value


def _check_client_value(place: str, value: Any, spec: Mapping[str, Any]) -> None:
    if isinstance(value, dict):
        _check_client(place, value, spec)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_client_value(f"{place}[{index}]", each, spec)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ModelError(f"{place} is no number that config.js can have. Use another one.")


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


def _check_https(variable: str, value: Any, spec: Mapping[str, Any]) -> str:
    if value != "" and (not isinstance(value, str) or not _HTTPS.fullmatch(value)):
        raise ModelError(
            f"{variable} must be an https address without a user in it, e.g. {spec['example']}."
        )
    return str(value)


def _networks(
    variable: str, value: Any, spec: Mapping[str, Any], too_wide: str
) -> Iterator[tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network]]:
    """The networks of a list, as written and as read. ``too_wide`` says why one may not be wide."""
    for network in check_list(variable, value, spec):
        try:
            parsed = ipaddress.ip_network(network if isinstance(network, str) else "")
        except ValueError:
            raise ModelError(
                f"{variable} has {network!r}, which is no network. Write its address with no bit"
                f" set beyond the length, in quotes, e.g. {variable}: {spec['example']}."
            ) from None
        yield network, parsed
        if parsed.prefixlen < _SHORTEST_PREFIX[parsed.version]:
            raise ModelError(
                f"{variable} has {network}, {too_wide} of /{_SHORTEST_PREFIX[parsed.version]} or"
                " longer."
            )
        if value.count(network) > 1:
            raise ModelError(f"{variable} has {network} twice. Remove one.")


def _check_networks(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    too_wide = "from where too many could try passwords. Name smaller networks,"
    for network, parsed in _networks(variable, value, spec, too_wide):
        if parsed.is_loopback:
            raise ModelError(
                f"{variable} has {network}, which is this server itself, where proxies bring in"
                " everybody. Name the address that it has in the network instead."
            )
    return list(value)


def _check_patterns(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    for pattern in check_list(variable, value, spec):
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
            raise ModelError(
                f"{variable} has {pattern!r}, which is no name of a variable. Write it whole, or"
                f" its beginning with a * behind, e.g. {variable}: {spec['example']}."
            )
    return list(value)


def check_foreign(features: Mapping[str, Any], known: Iterable[str], foreign: Any) -> None:
    """Refuses to take variables of ours for those of others."""
    spec = features.get("base", {}).get("options", {}).get("foreign_variables")
    if not spec:
        return
    own = {f"jitsi_{option}" for each in features.values() for option in each.get("options", {})}
    for pattern in _check_patterns("jitsi_foreign_variables", foreign, spec):
        ours = sorted(fnmatch.filter({*own, *known}, pattern))
        if ours:
            raise ModelError(
                f"jitsi_foreign_variables has {pattern}, which {ours[0]} of Vestibule fits as well."
                " Write more of the names that are meant."
            )


def _check_proxies(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    too_wide = (
        "and everybody in it could come with any address. Name the proxies alone, or networks"
    )
    for _ in _networks(variable, value, spec, too_wide):
        pass
    return list(value)


def _check_choice(variable: str, value: Any, spec: Mapping[str, Any]) -> str:
    choices = [str(choice) for choice in spec["choices"]]
    if value == spec["default"]:
        return str(value)
    if not isinstance(value, str) or value not in choices:
        raise ModelError(
            f"{variable} is {value!r}, which it does not know. Choose one of: {', '.join(choices)}."
        )
    return value


def _is_of_a_host(address: ipaddress.IPv4Address) -> bool:
    outside = (address.is_loopback, address.is_link_local, address.is_multicast)
    return not any(outside) and address.packed[0] not in (0, 255)


def _check_address(variable: str, value: Any, spec: Mapping[str, Any]) -> str:
    """An IPv4 address that others can reach, or nothing."""
    if value == "":
        return ""
    try:
        address = ipaddress.IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        raise ModelError(
            f"{variable} is no IPv4 address. Write one without a port, in quotes, e.g. {variable}:"
            f' "{spec["example"]}".'
        ) from None
    if not _is_of_a_host(address):
        raise ModelError(
            f"{variable} is {value}, which nobody else can reach. Write the address by which others"
            " know this server."
        )
    return str(value)


def _check_peers(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    too_wide = "and nothing inside would be closed to relays. Name the networks of bridges,"
    for network, parsed in _networks(variable, value, spec, too_wide):
        if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast:
            raise ModelError(
                f"{variable} has {network}, where no bridge can be. Name the address of the bridge,"
                f" or its network, e.g. {variable}: {spec['example']}."
            )
    return list(value)


_CHECKS: dict[str, _Check] = {
    "domain": _check_domain,
    "name": _check_name,
    "names": _check_names,
    "kid": _check_kid,
    "token_keys": _check_token_keys,
    "token_revoked": check_revoked,
    "secret": _check_secret,
    "bool": _check_bool,
    "int": _check_int,
    "choice": _check_choice,
    "list": check_list,
    "labels": _check_labels,
    "url": _check_url,
    "https": _check_https,
    "networks": _check_networks,
    "host_modules": _check_host_modules,
    "host_settings": _check_host_settings,
    "versions": _check_versions,
    "jicofo": _check_hocon,
    "videobridge": _check_hocon,
    "addresses": _check_addresses,
    "client": _check_client,
    "patterns": _check_patterns,
    "proxies": _check_proxies,
    "address": _check_address,
    "peers": _check_peers,
}


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


def reserved_labels(features: Mapping[str, Any], option: str) -> set[str]:
    """Labels that an option of labels must not have, as they mean something else on the server."""
    specs = (feature.get("options", {}).get(option, {}) for feature in features.values())
    return component_labels(features).union(*(spec.get("reserved", ()) for spec in specs))


def read_options(
    features: Mapping[str, Any], chosen: Collection[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The operator's choices, checked, with defaults. ``given`` maps ``jitsi_x`` to a value."""
    for name, feature in features.items():
        for variable in (f"jitsi_{option}" for option in feature.get("options", {})):
            if variable in given and name not in chosen:
                if "group" in feature:
                    raise ModelError(
                        f"{variable} is for hosts in the group {feature['group']} of the"
                        " inventory, and this server has none there that is not its own. Put one"
                        f" there, or remove {variable}."
                    )
                remedy = (
                    f"Take {name} out of jitsi_features_off"
                    if name in given.get("jitsi_features_off", [])
                    else f"Add {name} to jitsi_features"
                )
                raise ModelError(
                    f"{variable} belongs to the feature {name}, which is off. {remedy}, or remove"
                    f" {variable}."
                )
    options = {}
    public: list[str] = []
    secrets: dict[str, str] = {}
    for name in chosen:
        for option, spec in features[name].get("options", {}).items():
            variable = f"jitsi_{option}"
            if spec["type"] == "labels":
                reserved = reserved_labels(features, option)
                spec = {**spec, "reserved": reserved}  # noqa: PLW2901 — the spec with what it lacks
            value = given.get(variable, spec.get("default"))
            options[option] = _CHECKS[spec["type"]](variable, value, spec)
            if spec["type"] in ("domain", "name") and options[option]:
                public.append(options[option])
            elif spec["type"] == "names":
                public.extend(options[option])
            elif spec["type"] == "secret" and variable in given:
                secrets[variable] = options[option]
    if "token_keys" in options:
        secrets.update(settle(options, given, chosen))
    for variable, secret in secrets.items():
        _check_strength(variable, secret, public)
    return options


def check_lengths(names: Mapping[str, str], accounts: Iterable[str]) -> None:
    """Refuses names that are too long for DNS, or for the certificate that a host gets."""
    certified = {names["domain"], *(account.rpartition("@")[2] for account in accounts)}
    for address in names.values():
        host = address.rpartition("@")[2].partition(":")[0]
        longest, place = (
            (_MAX_COMMON_NAME, "in the certificate of a host")
            if host in certified
            else (_MAX_DOMAIN, "in DNS")
        )
        if len(host) > longest:
            raise ModelError(
                f"jitsi_domain is too long: {host.split('.')[0]}, one of its hosts, would have a"
                f" name of {len(host)} characters, and {longest} are allowed {place}. Choose a"
                f" domain that is {len(host) - longest} shorter."
            )
