"""Where Jitsi's packages come from on Arch, which has none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def fault(
    missing: Sequence[str], repository: Mapping[str, Any], helper: Mapping[str, Any], host: str
) -> str:
    """Why ``missing`` packages cannot come from a repository or a helper. Empty where they can."""
    if not missing:
        return ""
    if bool(repository) == bool(helper):
        return (
            "Arch itself has no packages of Jitsi. Set one of two variables, not both:"
            f" jitsi_tokens_pacman_repository to a repository that has {', '.join(missing)}, or"
            f" jitsi_tokens_aur_helper to a helper that is installed on {host} and builds them."
            " Nothing is built unasked."
        )
    if helper and (not helper.get("program") or helper.get("user") in (None, "", "root")):
        return (
            "jitsi_tokens_aur_helper needs a program and a user who is not root, e.g. {program:"
            " paru, user: builder}: a build runs code that nobody has reviewed, so it never runs as"
            " root."
        )
    return ""
