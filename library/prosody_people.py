#!/usr/bin/python
"""Ansible module ``prosody_people``: who is in meetings, by number, and whether new ones begin."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule.prosody_console import Console

DOCUMENTATION = r"""
module: prosody_people
short_description: Tell how many people are in meetings, and let no new meeting begin
description:
  - Asks a running Prosody by its console, as no module has an answer that people could not get as
    well. Machines that log in at other hosts are no people. Nobody is named.
  - Tells Prosody whether people may begin new meetings, which C(mod_focus_guard) holds them to.
    Meetings that there are go on, and whoever may can enter them. It ends by itself after a time,
    and with a restart of Prosody.
options:
  domain:
    description: Main domain of the meetings.
    type: str
    required: true
  state:
    description:
      - C(closed) lets no new meeting begin, C(open) does. C(asked) changes nothing.
    type: str
    choices: [closed, open, asked]
    default: asked
  seconds:
    description: For how long, with C(closed).
    type: int
    default: 3600
attributes:
  check_mode:
    description: Tells what would be told to Prosody.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Ask who is there
  prosody_people: {domain: meet.example.org}
"""

RETURN = r"""
people:
  description: How many people are in meetings.
  type: int
  returned: always
meetings:
  description: How many meetings these are.
  type: int
  returned: always
closed:
  description: Whether no new meeting begins.
  type: bool
  returned: always
answers:
  description: Whether Prosody runs and answers. Where it does not, nobody is there.
  type: bool
  returned: always
"""

# One line, as the console reads them. Breakout rooms belong to the meeting that they came from.
_COUNT = (
    "> local d, people, meetings = %s, 0, 0;"
    ' for _, muc in ipairs { "conference."..d, "breakout."..d } do'
    " local host = prosody.hosts[muc]; local m = host and host.modules.muc;"
    " for room in (m and m.each_room or function() return function() end end)() do"
    " local n = 0; for _, o in room:each_occupant() do"
    ' local at = o.bare_jid:match("@(.*)$") or o.bare_jid;'
    ' if at == d or at == "guest."..d then n = n + 1 end end;'
    " people = people + n;"
    ' if n > 0 and muc:sub(1, 11) == "conference." then meetings = meetings + 1 end end end;'
    ' return ("%%d people %%d meetings %%s"):format(people, meetings,'
    ' (prosody.vestibule_closed_until or 0) > os.time() and "closed" or "open")'
)
_ANSWER = re.compile(r"Result: (\d+) people (\d+) meetings (closed|open)")


def quoted(text: str) -> str:
    """A text in Lua, of what domains are made of."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+", text):
        raise ValueError(f"{text!r} is no domain.")
    return f'"{text}"'


def ask(console: Console, domain: str) -> tuple[int, int, bool] | None:
    """People, meetings, and whether no new one begins. None where nobody answers."""
    found = _ANSWER.search(console.say(_COUNT % quoted(domain)))
    return (int(found[1]), int(found[2]), found[3] == "closed") if found else None


def run(module: AnsibleModule) -> dict[str, Any]:
    """Ask, and tell it what it does not do yet."""
    console, domain = Console(module), module.params["domain"]
    told = ask(console, domain)
    if told is None:
        return {"changed": False, "people": 0, "meetings": 0, "closed": False, "answers": False}
    wanted = {"closed": True, "open": False, "asked": told[2]}[module.params["state"]]
    changed = wanted != told[2]
    if changed and not module.check_mode:
        until = f"os.time() + {module.params['seconds']}" if wanted else "0"
        console.say(f"> prosody.vestibule_closed_until = {until}; return true")
        told = ask(console, domain)
        if told is None or told[2] != wanted:
            module.fail_json(
                msg="Prosody does not do as it was told. Look at `journalctl -u prosody`."
            )
            raise AssertionError  # it has ended
    people, meetings, _ = told
    return {
        "changed": changed,
        "people": people,
        "meetings": meetings,
        "closed": wanted,
        "answers": True,
    }


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "domain": {"type": "str", "required": True},
            "state": {"choices": ["closed", "open", "asked"], "default": "asked"},
            "seconds": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module))
    except ValueError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
