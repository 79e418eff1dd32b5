"""Reads inventories of plain YAML as Ansible does, in a hundredth of its time.

Plain are a ``hosts.yml`` with groups, hosts and values, ``group_vars`` and ``host_vars`` with one
file a name, under a configuration that changes nothing of how inventories are read. Of everything
else (`NotPlain`) nothing is guessed: Ansible reads it. A test reads inventories both ways.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vestibule.model.features import LOADER, PREFIXES

ENDINGS = (".yml", ".yaml")
# What Ansible passes over in the folder of an inventory, and what it reads elsewhere
_NO_INVENTORY = re.compile(
    r"^\.|^(host|group)_vars$|\.versions\.yml$|\.(bak|md|orig|retry|rst|txt)$|~$"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_TEMPLATE = ("{{", "{%", "{#")
# Sections and keys that do not change what an inventory says
_HARMLESS = {
    "defaults": {
        *("action_plugins", "callback_plugins", "callback_result_format", "callbacks_enabled"),
        *("display_skipped_hosts", "filter_plugins", "forks", "host_key_checking"),
        *("inject_facts_as_vars", "internal_poll_interval", "interpreter_python", "library"),
        *(
            "log_path",
            "lookup_plugins",
            "module_utils",
            "nocows",
            "private_key_file",
            "remote_user",
        ),
        *("retry_files_enabled", "roles_path", "stdout_callback", "timeout", "vault_identity_list"),
        *("vault_encrypt_identity", "vault_password_file", "inventory"),
    },
    "inventory": {"any_unparsed_is_failed", "ignore_patterns"},
}
_WITHOUT_EFFECT = {"colors", "connection", "diff", "privilege_escalation", "ssh_connection"}
_IGNORED = r"\.versions\.yml$"
_HARMLESS_VARIABLES = re.compile(
    "ANSIBLE_(CONFIG|FORCE_COLOR|NOCOLOR|NOCOWS|VAULT_.*|LOG_PATH|STDOUT_CALLBACK|REMOTE_.*|SSH_.*"
    "|PRIVATE_KEY_FILE|BECOME_.*|HOST_KEY_CHECKING|FORKS|TIMEOUT|PIPELINING|DEPRECATION_WARNINGS)"
)


class NotPlain(Exception):
    """Ansible alone can say what this inventory means. The message says why."""


@dataclass
class _Group:
    variables: dict[str, Any] = field(default_factory=dict)
    parents: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)


class _Loader(LOADER):  # type: ignore[misc,valid-type]  # the C one where there is one
    """Refuses what Ansible reads otherwise, or warns of."""


def _construct_mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise NotPlain("it has a key twice, or one that is no text")
    if "<<" in keys:
        raise NotPlain("it merges mappings")
    return dict(
        zip(
            keys,
            (loader.construct_object(value, deep=True) for _, value in node.value),
            strict=True,
        )
    )


def _construct_number(_: Any, node: yaml.ScalarNode) -> Any:
    # Of others the model tells how they are written, which Ansible knows
    if not _NUMBER.fullmatch(node.value):
        raise NotPlain("it has a number that is not in plain decimal digits")
    return int(node.value) if "." not in node.value else float(node.value)


def _construct_other(_: Any, node: yaml.Node) -> Any:
    raise NotPlain(f"it has a value of the type {node.tag.rpartition(':')[2]}")


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_number)
for _kind in ("timestamp", "binary", "set", "omap", "pairs", "merge", "value"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _construct_other)
_Loader.add_constructor(None, _construct_other)


def read(path: Path, root: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder of an inventory, and its hosts with their variables, in the order of the file.

    ``root`` is the checkout, whose configuration counts. Raises NotPlain.
    """
    _refuse_configuration(root)
    file = _file_of(path)
    for place in ("group_vars", "host_vars"):
        if (root / "playbooks" / place).exists():
            raise NotPlain(f"playbooks has {place}")
    folder = file.parent
    groups, hosts = _parse(_load(file))
    every = {"all": _variables(folder / "group_vars", "all")}
    for name in groups:
        every[name] = _variables(folder / "group_vars", name)
    return folder, {
        host: _checked(_merge(host, groups, own, every, _variables(folder / "host_vars", host)))
        for host, own in hosts.items()
    }


def _refuse_configuration(root: Path) -> None:
    for name in os.environ:
        if name.startswith("ANSIBLE_") and not _HARMLESS_VARIABLES.fullmatch(name):
            raise NotPlain(f"the environment has {name}")
    file = Path(os.environ.get("ANSIBLE_CONFIG") or root / "ansible.cfg")
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        raise NotPlain(f"{file} does not read as expected") from None
    for section in parser.sections():
        for key in parser[section] if section not in _WITHOUT_EFFECT else ():
            if key not in _HARMLESS.get(section, ()):
                raise NotPlain(f"{file.name} has {key}")
    if parser.get("inventory", "ignore_patterns", fallback=_IGNORED) != _IGNORED:
        raise NotPlain(f"{file.name} has other ignore_patterns")


def _file_of(path: Path) -> Path:
    if path.is_dir():
        files = [each for each in sorted(path.iterdir()) if not _NO_INVENTORY.search(each.name)]
        if len(files) != 1:
            raise NotPlain("its folder has more than one file")
        path = files[0]
    if path.suffix not in ENDINGS or not path.is_file() or os.access(path, os.X_OK):
        raise NotPlain(f"{path.name} is no plain file of YAML")
    return Path(os.path.abspath(path))  # noqa: PTH100 — links stay links, as in inventory_dir


def _load(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        if text.startswith(("#!", "$ANSIBLE_VAULT")) or text.lstrip()[:1] in ("{", "["):
            raise NotPlain(f"{file.name} is no plain file of YAML")
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 — a safe loader
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        raise NotPlain(f"{file.name} does not read") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise NotPlain(f"{file.name} is no mapping")
    return content


def _variables(folder: Path, name: str) -> dict[str, Any]:
    """What the one file of this name says. Ansible looks for more, and takes some first."""
    file = folder / f"{name}.yml"
    others = (folder / f"{name}{ending}" for ending in ("", ".yaml", ".json"))
    if any(other.exists() for other in others):
        raise NotPlain(f"{folder.name} has more than {file.name}")
    if not file.exists():
        return {}
    return _of_variables(_load(file))


def _of_variables(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(map(_VARIABLE.fullmatch, content)):
        raise NotPlain("it has a variable with another name than Ansible takes")
    if "ansible_group_priority" in content:
        raise NotPlain("it has ansible_group_priority")
    return content


def _parse(content: Mapping[str, Any]) -> tuple[dict[str, _Group], dict[str, dict[str, Any]]]:
    groups: dict[str, _Group] = {"all": _Group()}
    hosts: dict[str, dict[str, Any]] = {}
    if not content or "plugin" in content:
        raise NotPlain("it is empty, or for a plugin")
    for name, group in content.items():
        _parse_group(name, group, groups, hosts)
    if set(groups) & set(hosts):
        raise NotPlain("a group and a host have one name")
    return groups, hosts


def _parse_group(
    name: str, content: Any, groups: dict[str, _Group], hosts: dict[str, dict[str, Any]]
) -> None:
    if not _GROUP.fullmatch(name) or name == "ungrouped":
        raise NotPlain(f"it has a group called {name}")
    group = groups.setdefault(name, _Group())
    content = {} if content is None else content
    if not isinstance(content, dict) or not content.keys() <= {"vars", "children", "hosts"}:
        raise NotPlain(f"the group {name} has other parts than vars, children and hosts")
    for part in content.values():
        if part is not None and not isinstance(part, dict):
            raise NotPlain(f"the group {name} has a part that is no mapping")
    group.variables.update(_of_variables(content.get("vars") or {}))
    for child, below in (content.get("children") or {}).items():
        if child == "all":
            raise NotPlain("all is below another group")
        _parse_group(child, below, groups, hosts)
        groups[child].parents.add(name)
    for host, variables in (content.get("hosts") or {}).items():
        if not _NAME.fullmatch(host):
            raise NotPlain(f"it has a host called {host}")
        group.hosts.add(host)
        hosts.setdefault(host, {}).update(_of_variables(variables or {}))


def _merge(
    host: str,
    groups: Mapping[str, _Group],
    own: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    file: Mapping[str, Any],
) -> dict[str, Any]:
    """The variables of a host, the nearest last."""
    above: set[str] = set()
    waiting = [name for name, group in groups.items() if host in group.hosts]
    while waiting:
        name = waiting.pop()
        if name != "all" and name not in above:
            above.add(name)
            waiting.extend(groups[name].parents)
    order = sorted(above, key=lambda name: (_depth(name, groups, ()), name))
    merged = {**groups["all"].variables, **files["all"]}
    for name in order:
        merged |= {**groups[name].variables, **files[name]}
    # Files beside the inventory come once more, after what stands in it
    merged |= files["all"]
    for name in order:
        merged |= files[name]
    return {**merged, **own, **file}


def _depth(name: str, groups: Mapping[str, _Group], below: tuple[str, ...]) -> int:
    if name in below:
        raise NotPlain(f"the group {name} is below itself")
    parents = groups[name].parents - {"all"}
    return 1 + max((_depth(each, groups, (*below, name)) for each in parents), default=0)


def _checked(variables: dict[str, Any]) -> dict[str, Any]:
    """Refuse what would have to be worked out, where anything of ours would be."""
    for name, value in variables.items():
        if name.startswith(PREFIXES) and any(
            mark in text for text in _texts(value) for mark in _TEMPLATE
        ):
            raise NotPlain(f"{name} has to be worked out")
    return variables


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
