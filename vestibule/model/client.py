"""What an operator adds to the web client's configuration, and whom the client asks for that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_ADDRESS = re.compile(
    r"(?:(https?|wss?):)?//([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(?=[/?#]|$)"
)
# Keys by which the client asks services of others, whose addresses it knows (config.js of August
# 2026)
_SERVICES = frozenset(
    {
        "amplitudeAPPKey",
        "callStatsID",
        "callStatsSecret",
        "dropbox",
        "enableCalendarIntegration",
        "giphy",
        "googleAnalyticsTrackingId",
        "googleApiApplicationClientID",
        "gravatar",
        "gravatarBaseURL",
        "microsoftApiApplicationClientID",
    }
)


class Other(NamedTuple):
    """Somebody else whom the client asks, as the configuration at ``place`` says."""

    place: str
    origin: str

    @property
    def warning(self) -> str:
        """The sentence for the operator."""
        whom = self.origin or "a service of others"
        return f"{self.place} has people's browsers ask {whom}, which learns who meets and when."


def asked_by(extra: Mapping[str, Any], domain: str) -> list[Other]:
    """Everybody but ``domain`` whom the client asks by these additions to its configuration."""
    return list(_asked(extra, "jitsi_web_extra_config", domain))


def _asked(value: Any, place: str, domain: str) -> Iterator[Other]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            here = f"{place}.{key}"
            inside = list(_asked(each, here, domain))
            if key in _SERVICES and not inside and _is_on(each):
                yield Other(here, "")
            yield from inside
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _asked(each, f"{place}[{index}]", domain)
    elif isinstance(value, str):
        found = _ADDRESS.match(value)
        if found and found[2].lower() != domain:
            yield Other(place, f"{found[1] or 'https'}://{found[2].lower()}{found[3] or ''}")


def _is_on(value: Any) -> bool:
    if isinstance(value, Mapping) and (value.get("disabled") or value.get("enabled") is False):
        return False
    return bool(value)
