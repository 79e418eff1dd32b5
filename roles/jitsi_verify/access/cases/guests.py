"""Guests: they wait for somebody with a token, and never moderate."""

from __future__ import annotations

from .case import Case

GUESTS: tuple[Case, ...] = ()
