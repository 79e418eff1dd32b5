"""owner_party: a meeting lives only while an owner is in it."""

from __future__ import annotations

from .case import Case

OWNER_PARTY: tuple[Case, ...] = ()
