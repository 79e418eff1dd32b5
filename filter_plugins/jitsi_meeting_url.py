"""Filter ``jitsi_meeting_url``: the link by which the owner of a token enters a meeting."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.tokens.meeting_url import MeetingUrlError, meeting_url_with

DOCUMENTATION = r"""
name: jitsi_meeting_url
short_description: Write the link to a Jitsi meeting
description:
  - Returns the address that a browser opens to enter a meeting with a token.
  - The link is as good as the token in it. Keep the task that handles it out of logs.
options:
  _input:
    description: The token, for example from P(jitsi_jwt#filter).
    type: str
    required: true
  domain:
    description: Public name of the server.
    type: str
    required: true
  room:
    description: Name of the room, which the token has to name or leave open.
    type: str
    required: true
  tenant:
    description: Tenant whose room it is.
    type: str
  port:
    description: TCP port of HTTPS.
    type: int
    default: 443
  config:
    description: >-
      Settings of Jitsi's config.js for this meeting alone, by name. They end up behind the hash
      sign, which browsers do not send to the server.
    type: dict
    default: {}
"""

EXAMPLES = r"""
# Gives: https://meet.example.org/standup?jwt=eyJ…#config.startWithAudioMuted=true
- name: Print the link for a moderator
  ansible.builtin.debug:
    msg: >-
      {{ token | jitsi_meeting_url(domain='meet.example.org', room='standup',
                                   config={'startWithAudioMuted': true}) }}
"""

RETURN = r"""
_value:
  description: The address, percent-encoded (RFC 3986).
  type: str
"""


def jitsi_meeting_url(token: Any, **arguments: Any) -> str:
    """Ansible's shell around `vestibule.tokens.meeting_url.meeting_url`."""
    try:
        return meeting_url_with(token, arguments)
    except MeetingUrlError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_meeting_url": jitsi_meeting_url}
