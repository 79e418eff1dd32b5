"""The command ``vestibule``: links for people, and why a token is refused.

Each part imports what it needs when it is used: a link has to be there within a second.
"""

from __future__ import annotations


class CommandError(Exception):
    """What was asked for cannot be done. The message is a sentence for whoever typed it."""
