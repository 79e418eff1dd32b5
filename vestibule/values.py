"""Values as YAML and Ansible hand them over."""

from __future__ import annotations


def type_name(value: object) -> str:
    """The name of a value's type as people know it: a text with Ansible's tags is a ``str``."""
    kinds = type(value).__mro__
    known = (kind for kind in kinds[:-1] if not kind.__module__.startswith("ansible."))
    return next(known, kinds[0]).__name__
