#!/usr/bin/python
"""Module ``prosody_health``: whether Prosody started with everything that it was told to have."""

from __future__ import annotations

from ansible.module_utils.vestibule.prosody_health import main

DOCUMENTATION = r"""
module: prosody_health
short_description: Fail when Prosody runs without a module, or listens where it should not
description:
  - Prosody starts all the same when a module does not load, a secret is missing or a port is taken,
    and systemd calls it active. This module waits until Prosody serves, reads what it logged while
    it started, looks at its listeners, and fails with the lines and the remedy.
  - Reads only. Tokens in log lines are removed.
  - Prosody has to log to the journal (C(log = { info = "*console" })).
options:
  http_listener:
    description:
      - Address and port of Prosody's HTTP server, for example C(127.0.0.1:5280). Prosody opens its
        ports while it still loads modules; an answer here is the proof that it is done. It has a
        minute for it.
    type: str
    required: true
  listeners:
    description: >-
      All other addresses and ports on which Prosody has to take TCP connections, for example
      C(127.0.0.1:5222) or C([::1]:5222). Others it may not.
    type: list
    elements: str
    default: []
  sources:
    description:
      - Files and folders that Prosody reads when it starts. Where one of their files is newer than
        that start, RV(unread) names it and nothing else is judged, as a restart is due.
      - That is what a run leaves behind that was cut off between writing and restarting. Files that
        M(prosody_reload) has had it read again count as read.
    type: list
    elements: path
    default: []
  greeting:
    description:
      - Whether Prosody logs at level info or lower, so that its greeting has to be in the journal.
        Its absence then shows that the log goes elsewhere, where nobody looks.
    type: bool
    default: true
attributes:
  check_mode:
    description: >-
      Looks without waiting. Problems are warnings then, as the changes that were not made may be
      their remedy. A unit that is not there yet is no problem.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author: Vestibule contributors
"""

EXAMPLES = r"""
- name: service | Look whether everything loaded and nothing else listens
  prosody_health:
    http_listener: 127.0.0.1:5280
    listeners: [127.0.0.1:5222]
"""

RETURN = r"""
problems:
  description: What is wrong, empty in success (outside of check mode).
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: >-
        C(inactive), C(module_failed), C(configuration), C(listener), C(traceback), or C(error) for
        any other line of that level.
      type: str
    line:
      description: The log line, or a sentence.
      type: str
later:
  description: Errors of the same kinds after the start-up, the last ones only.
  type: list
  elements: dict
  returned: always
warned:
  description: What Prosody warned of while it started.
  type: list
  elements: str
  returned: always
unread:
  description: Files of O(sources) that were written after Prosody started, and not read since.
  type: list
  elements: str
  returned: always
  sample: [/etc/prosody/conf.avail/meet.example.org.cfg.lua]
listeners:
  description: Where Prosody takes TCP connections.
  type: list
  elements: str
  returned: always
  sample: ["127.0.0.1:5222", "127.0.0.1:5280"]
"""

if __name__ == "__main__":
    main()
