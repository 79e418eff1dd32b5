"""Filter ``to_lua``: a value as the Lua literal that reads back as the same value."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.arguments import checked
from vestibule.rendering import LuaValueError
from vestibule.rendering import to_lua as literal

DOCUMENTATION = r"""
name: to_lua
short_description: Write a value as a Lua literal
description:
  - Writes text, numbers, booleans, lists and mappings so that Lua 5.1 to 5.5 reads the same value
    back, and no value can break out of its literal.
  - Keeps the order of keys. A list or mapping stands on one line where that is short.
  - Refuses what Lua cannot say, such as null (a key with the value nil does not exist), naming the
    place inside the value and the type, never what stands there.
options:
  _input:
    description: The value. Keys of mappings are text or whole numbers.
    type: raw
    required: true
  indent:
    description: Columns by which the line is indented on which the literal starts.
    type: int
    default: 0
"""

EXAMPLES = r"""
# Gives: modules_enabled = { "bosh", "websocket" }
- name: Write a line of Prosody's configuration
  ansible.builtin.debug:
    msg: "modules_enabled = {{ ['bosh', 'websocket'] | to_lua }}"

# Gives: { c2s = { rate = "512kb/s", burst = 2 }, ["not a name"] = true }
- name: Write a table
  ansible.builtin.debug:
    msg: "{{ {'c2s': {'rate': '512kb/s', 'burst': 2}, 'not a name': true} | to_lua }}"
"""

RETURN = r"""
_value:
  description: The literal, without a newline at its end.
  type: str
"""


def to_lua(value: object, indent: int = 0) -> str:
    """Ansible's shell around `vestibule.rendering.to_lua`."""
    try:
        return literal(value, indent)
    except LuaValueError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"to_lua": checked(to_lua, DOCUMENTATION, AnsibleFilterError)}
