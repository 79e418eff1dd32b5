"""Filter ``quoted``: a value as the language of a file writes it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.quoting import QuotingError
from vestibule.quoting import quoted as written

DOCUMENTATION = r"""
name: quoted
short_description: Write a value so that a language reads it as one value
description:
  - Writes a value into a file of a program, so that it can neither end what it stands in nor begin
    something else. What its language cannot say is an error, that never tells the value.
  - For Lua's values there is P(to_lua#filter).
options:
  _input:
    description: Text or a whole number; for C(hocon) and C(javascript) any value.
    type: raw
    required: true
  language:
    description:
      - C(nginx) is a parameter of a directive, C(nginx_part) a part of one, C(systemd) an argument
        of a command in a unit, C(plain) a word in the middle of
        one, C(lua_name) a name in Lua, C(line) the rest of a line, as of a
        comment, C(hocon) and C(javascript) are whole values, C(tenant_javascript) as well, with
        the tenant that nginx knows in it, and C(nginx_names) alternatives of an expression.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write a directive
  ansible.builtin.debug:
    msg: "root {{ '/srv/the client' | quoted('nginx') }};"
"""

RETURN = r"""
_value:
  description: The text for the file.
  type: str
"""


def quoted(value: object, language: str) -> str:
    """Ansible's shell around `vestibule.quoting.quoted`."""
    try:
        return written(value, language)
    except QuotingError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"quoted": checked(quoted, DOCUMENTATION, AnsibleFilterError)}
