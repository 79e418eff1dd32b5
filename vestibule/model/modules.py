"""Which modules of the features a plugin tree does not have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from vestibule.model.features import ALWAYS_ON
from vestibule.model.prosody_settings import table

# Prosody's own modules that features load; 0.12 and 13 both have them (prosody: plugins/).
_PROSODY = frozenset(
    {
        "auth_internal_hashed",
        "bosh",
        "external_services",
        "muc",
        "ping",
        "smacks",
        "websocket",
    }
)


def module_of(path: str) -> str | None:
    """The module that a file is: ``mod_x.lua`` or ``mod_x/mod_x.lua``; None for other files."""
    name = PurePosixPath(path).name
    return name[4:-4] if name.startswith("mod_") and name.endswith(".lua") else None


def missing_modules(
    needed_by: Mapping[str, Iterable[str]],
    files: Iterable[str],
    ours: Iterable[str],
    options: Iterable[str] = (),
) -> dict[str, list[str]]:
    """Modules that are nowhere, and options that those there do not know, with who needs them."""
    there = {module_of(path) for path in [*files, *ours]} | _PROSODY
    known = {*there, *options}
    return {
        need: sorted(features)
        for need, features in sorted(needed_by.items())
        # Of a module that is missing, its options need not be named
        if features and need not in known and ("." not in need or need.partition(".")[0] in there)
    }


def _described(need: str) -> str:
    module, _, option = need.partition(".")
    return f"mod_{module} that knows {option}" if option else f"mod_{module}"


def sentence(missing: Mapping[str, Iterable[str]], source: str) -> str:
    """What the operator has to know. Empty where nothing is missing."""
    if not missing:
        return ""
    listed = ", ".join(
        f"{_described(need)} (for {', '.join(who)})" for need, who in missing.items()
    )
    optional = sorted({name for who in missing.values() for name in who} - set(ALWAYS_ON))
    choice = (
        f", or do without: take {', '.join(optional)} out of jitsi_features or put it into"
        " jitsi_features_off"
        if optional and all(set(who).isdisjoint(ALWAYS_ON) for who in missing.values())
        else ""
    )
    return (
        f"{source} lacks Prosody modules that the features need: {listed}. Jitsi's plugins of"
        " August 2026 have them all: run `apt-get update`, then `apt-get install"
        " jitsi-meet-prosody` on the host (on Arch, upgrade its package of the AUR), or set"
        f" jitsi_tokens_source: archive with newer plugins{choice}."
    )


def extra_modules_fault(extra: Iterable[str], files: Iterable[str], host: str) -> str:
    """The sentence for modules that the operator adds and nobody has. Empty where all are there."""
    there = {module_of(path) for path in files}.union(table()["modules"])
    missing = sorted(set(extra) - there)
    if not missing:
        return ""
    return (
        f"jitsi_extra_modules names {', '.join(missing)}, and {host} has no such module of Prosody."
        f" Put mod_{missing[0]}.lua into /usr/local/lib/prosody/modules there first, or remove it."
    )
