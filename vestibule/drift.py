"""What on a host differs from the model and from the last proven run, thing by thing.

The difference is what one look found: wishes that are not fulfilled, and the facts of the host.
Nothing here knows what a role wishes for.
"""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vestibule import json_files

RUN: Final = "the next run"
PROOF: Final = "the next proof"
HAND: Final = "by hand"
SOON = 30  # days before an end that are told
_DAY = 86400  # seconds
_KINDS: Mapping[str, str] = {
    "acme_certificate": "certificate",
    "config_files": "file",
    "host_history": "file",
    "lua_libraries": "module",
    "prosody_account": "account",
    "prosody_health": "service",
    "self_signed": "certificate",
    "token_provider": "token key",
}
_TITLES = ("what", "which", "how it differs", "mended by")


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it has to be. ``wish`` is the one that says so, or empty."""

    kind: str
    subject: str
    what: str
    mended_by: str = RUN
    wish: str = ""


@dataclass(frozen=True)
class Seen:
    """What a look has found, and what it is compared with.

    ``differences`` are those of the module look, ``facts`` those of host_probe. ``refusals`` are
    sentences by which a run would refuse the host. ``pending`` says by role whether it has
    something to do that no wish says.
    """

    facts: Mapping[str, Any]
    differences: Sequence[Mapping[str, str]]
    packages: Sequence[str]
    versions: Mapping[str, str]
    proven: Mapping[str, str]
    listens: Sequence[Mapping[str, Any]]
    keys: Sequence[Mapping[str, Any]]
    modules: Mapping[str, Sequence[str]]
    loaded: Sequence[str]
    carried: Sequence[str]
    refusals: Sequence[str]
    pending: Mapping[str, bool]


def compare(seen: Seen, now: float) -> list[Difference]:
    """All that differs, in the order in which people look for it. ``now`` is the host's time."""
    found = [
        *_of_wishes(seen),
        *_of_packages(seen),
        *_of_holds(seen),
        *_of_services(seen),
        *_of_listeners(seen),
        *_of_modules(seen),
    ]
    found += _of_certificates(seen, now, {each.subject for each in found})
    found += _of_keys(seen.keys, now)
    found += [
        Difference("secret", name, "the host has another one than the inventory", HAND)
        for name in seen.carried
    ]
    found += _of_rest(seen, found)
    return list(dict.fromkeys(found))


def _of_wishes(seen: Seen) -> Iterator[Difference]:
    for each in seen.differences:
        kind, by = _KINDS[each["module"]], RUN
        if each["module"] == "host_history":
            by = HAND
        elif each["module"] == "prosody_health" and each["subject"] == "prosody":
            # A service that is down is started; what it logged is somebody's to read
            by = RUN if each["what"].startswith("the unit ") else HAND
        yield Difference(kind, each["subject"], each["what"], by, each["wish"])


def _of_packages(seen: Seen) -> Iterator[Difference]:
    there = seen.facts["packages"]
    for name in seen.packages:
        wanted, proven = seen.versions.get(name), seen.proven.get(name)
        if name not in there:
            yield Difference("package", name, "not installed")
        elif wanted and there[name] != wanted:
            yield Difference("package", name, f"version {there[name]}, not {wanted}")
        elif proven and there[name] != proven:
            said = f"version {there[name]}, and {proven} was proven"
            yield Difference("package", name, said, PROOF)
    for name, options in seen.facts["sources"].items():
        if not options:
            yield Difference("package", f"repository {name}", "its files were changed")


def _of_holds(seen: Seen) -> Iterator[Difference]:
    held = seen.facts["held"]
    for name in seen.versions:
        if name not in held:
            yield Difference("hold", name, "not held at its version")
    for name, is_ours in held.items():
        if name in seen.versions:
            continue
        if is_ours:
            yield Difference("hold", name, "held, and no version is asked for any more")
        elif name in seen.packages:
            yield Difference("hold", name, "held by somebody else", HAND)


def _of_services(seen: Seen) -> Iterator[Difference]:
    facts = seen.facts
    known = {*facts["services"], *facts["alive"], *facts["masked"], *facts["unit_files"]}
    for pattern in dict.fromkeys(each["unit"] for each in seen.listens):
        names = fnmatch.filter(sorted(known), pattern) or [pattern]
        if fnmatch.filter(facts["services"], pattern):
            continue
        for name in names[:1]:
            if name in facts["masked"]:
                yield Difference("service", name, "masked", HAND)
                continue
            if name not in facts["at_boot"]:
                yield Difference("service", name, "does not start at boot")
            else:
                yield Difference("service", name, "does not run, or listens nowhere")
    for name, words in facts["outdated"].items():
        if words:
            yield Difference("program", name, f"runs what was there before {', '.join(words)}")
    for name, paths in facts["drop_ins"].items():
        for path in paths:
            yield Difference("unit", path, f"changes {name}, and is not Vestibule's", HAND)


def _of_listeners(seen: Seen) -> Iterator[Difference]:
    facts = seen.facts
    ports = {each["port"] for each in facts["listeners"]}
    taken = [each for unit in facts["in_the_way"].values() for each in unit["taken"]]
    for each in taken:
        place = f"port {each['port']} of {each['address']}"
        said = f"{each['process'] or 'another program'} listens there"
        yield Difference("listener", place, said, HAND)
    for wanted in seen.listens:
        if not fnmatch.filter(facts["services"], wanted["unit"]):
            continue
        for port in wanted["ports"]:
            if port not in ports:
                said = f"{wanted['unit']} runs and does not listen there"
                yield Difference("listener", f"port {port}", said, HAND)


def _of_modules(seen: Seen) -> Iterator[Difference]:
    if not seen.loaded:  # Prosody is down, which is told of it
        return
    loaded = parse_modules(seen.loaded)
    for host, names in seen.modules.items():
        if host not in loaded:
            yield Difference("module", host, "Prosody does not serve this host", HAND)
            continue
        for name in names:
            if name not in loaded[host]:
                said = f"not loaded on {host}; restart Prosody"
                yield Difference("module", name, said, HAND)


def parse_modules(lines: Iterable[str]) -> dict[str, set[str]]:
    """Modules by host in what ``prosodyctl shell module list`` prints."""
    found: dict[str, set[str]] = {}
    host = ""
    for line in lines:
        words = line.removeprefix("|").strip()
        if words.endswith(":"):
            host = words[:-1].split()[0]
            found[host] = set()
        elif host and words:
            found[host].add(words.split()[0])
    return found


def _of_certificates(seen: Seen, now: float, told: set[str]) -> Iterator[Difference]:
    for path, each in seen.facts["certificates"].items():
        if each["problem"] and path not in told:
            yield Difference("certificate", path, each["problem"], HAND)
        elif path not in told and each["ends"] is not None and each["ends"] < now + SOON * _DAY:
            yield Difference("certificate", path, _end(each["ends"], now), HAND)
        if each["shown"] is False:
            yield Difference("certificate", path, "the program that runs shows another one")


def _of_keys(keys: Iterable[Mapping[str, Any]], now: float) -> Iterator[Difference]:
    for key in keys:
        end = key.get("not_after")
        if end is not None and end < now + SOON * _DAY:
            yield Difference("token key", key["kid"], _end(end, now), HAND)


def _end(moment: float, now: float) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(moment))
    return f"has ended on {day}" if moment <= now else f"ends on {day}"


def _of_rest(seen: Seen, found: Sequence[Difference]) -> Iterator[Difference]:
    """What is known without its place: refusals of a run, and what a role has to do beside."""
    facts = seen.facts
    if facts["installation_cut_off"]:
        yield Difference("run", "packages", "a run was cut off while it installed them")
    if facts["former_kept"]:
        yield Difference("run", "files", "a run was cut off before it knew that they are good")
    for sentence in seen.refusals:
        yield Difference("refusal", "site.yml", sentence, HAND)
    # What roles have to do beside their wishes is mostly told by what it is about
    if not any(each.mended_by == RUN and not each.wish for each in found):
        for role, is_pending in seen.pending.items():
            if is_pending and not any(each.wish.startswith(role) for each in found):
                yield Difference("role", role, "has something to do that has no other name")


def without(found: Iterable[Difference], accepted: Sequence[str]) -> list[Difference]:
    """Those that nobody has accepted. ``accepted`` are subjects, with C(*) for anything."""
    return [
        each
        for each in found
        if not any(fnmatch.fnmatchcase(each.subject, pattern) for pattern in accepted)
    ]


def table(found: Sequence[Difference]) -> list[str]:
    """Lines for people."""
    rows = [_TITLES, *((one.kind, one.subject, one.what, one.mended_by) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [
        f"{kind:<{widths[0]}}  {subject:<{widths[1]}}  {what} ({by})"
        for kind, subject, what, by in rows[1:]
    ]


def write_json(path: Path, host: str, found: Sequence[Difference] | None) -> None:
    """Write it for machines. None: nobody could look."""
    differences = [asdict(each) for each in found or []]
    content = {"host": host, "looked": found is not None, "differences": differences}
    json_files.write(path, content)


def report(arguments: Mapping[str, Any], host: str, show: Callable[[str], None]) -> dict[str, Any]:
    """What became of it, as Ansible takes it, for the arguments of the action report_drift.

    ``show`` is told each line for people.
    """
    path = Path(arguments["report"])
    if arguments["unlooked"]:
        write_json(path, host, None)
        return {"unreachable": True, "msg": f"Could not look: {arguments['unlooked']}"}
    seen = Seen(**arguments["seen"])
    found = without(compare(seen, seen.facts["epoch"]), arguments["accepted"])
    write_json(path, host, found)
    for line in table(found):
        show(f"  {host}: {line}")
    if not found:
        return {"changed": False, "msg": f"Nothing differs on {host}."}
    things = "1 thing differs" if len(found) == 1 else f"{len(found)} things differ"
    return {"failed": True, "msg": f"{things} on {host}. All of it: {path}"}
