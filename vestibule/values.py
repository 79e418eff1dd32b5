"""Values as YAML and Ansible hand them over."""

from __future__ import annotations

import re

# Of a name in the DNS (RFC 1035, section 2.3.1), in lower case, as tenants have as well
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def type_name(value: object) -> str:
    """The name of a value's type as people know it: a text with Ansible's tags is a ``str``."""
    kinds = type(value).__mro__
    known = (kind for kind in kinds[:-1] if not kind.__module__.startswith("ansible."))
    return next(known, kinds[0]).__name__
