"""Roles: who moderates, by each of the features that decide it."""

from __future__ import annotations

from .case import Case

ROLES: tuple[Case, ...] = ()
