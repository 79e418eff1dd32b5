"""Which packages others need, by what the package managers know of all that are installed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import managers
from ansible.module_utils.vestibule.programs import run

_FIELDS = (
    "${Package}\t${db:Status-Status}\t${Provides}\t${Pre-Depends}, ${Depends}\t${Recommends}\n"
)
_ENTRY = re.compile(r"^(\w[\w ]*?) *: (.*(?:\n .*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package, with clauses of which each needs one of several names."""

    provides: frozenset[str]
    depends: tuple[frozenset[str], ...] = ()
    recommends: tuple[frozenset[str], ...] = ()


def _name(text: str) -> str:
    """Without version and architecture."""
    return re.split(r"[\s:(<>=]", text.strip(), maxsplit=1)[0]


def _clauses(text: str) -> tuple[frozenset[str], ...]:
    parts = [frozenset(_name(each) for each in clause.split("|")) for clause in text.split(",")]
    return tuple(part - {""} for part in parts if part - {""})


def parse_dpkg(text: str) -> dict[str, Package]:
    """Installed packages in what ``dpkg-query`` prints of `_FIELDS`."""
    found = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 5 and fields[1] == "installed":
            provides = {fields[0], *(_name(each) for each in fields[2].split(","))} - {""}
            found[fields[0]] = Package(
                frozenset(provides), _clauses(fields[3]), _clauses(fields[4])
            )
    return found


def parse_pacman(text: str) -> dict[str, Package]:
    """Installed packages in what ``pacman -Qi`` prints (C locale)."""
    found = {}
    for stanza in text.split("\n\n"):
        entry = {name.strip(): value.split() for name, value in _ENTRY.findall(stanza)}
        name = " ".join(entry.get("Name", []))
        if not name:
            continue
        lists = {
            field: [_name(each) for each in entry.get(field, []) if each != "None"]
            for field in ("Provides", "Depends On")
        }
        depends = tuple(frozenset({each}) for each in lists["Depends On"])
        found[name] = Package(frozenset({name, *lists["Provides"]}), depends)
    return found


def installed(module: AnsibleModule) -> dict[str, Package]:
    """What is installed, with what it needs."""
    if isinstance(managers.find(module), managers.Pacman):
        return parse_pacman(run(module, "pacman", "-Qi")[1])
    return parse_dpkg(run(module, "dpkg-query", "--show", f"--showformat={_FIELDS}")[1])


def needed(
    packages: Mapping[str, Package],
    leaving: Iterable[str],
    in_use: Mapping[str, str],
    there: Iterable[str],
) -> dict[str, str]:
    """Which of the packages that would leave have to stay, and why.

    ``in_use`` has reasons by name. Packages that were ``there`` before did without what they only
    recommend; one that came later may not.
    """
    leaving, there = set(leaving), set(there)
    stay = {name: why for name, why in in_use.items() if name in leaving}
    providers: dict[str, set[str]] = {}
    for name, package in packages.items():
        for each in package.provides:
            providers.setdefault(each, set()).add(name)
    waiting = [name for name in packages if name not in leaving or name in stay]
    while waiting:
        name = waiting.pop()
        package = packages.get(name, Package(frozenset()))
        later = name not in there and name not in leaving
        for clause in (*package.depends, *(package.recommends if later else ())):
            having = set().union(*(providers.get(each, set()) for each in clause))
            if having and not any(each not in leaving or each in stay for each in having):
                for each in having:
                    stay[each] = f"{name} needs it"
                    waiting.append(each)
    return stay
