"""Filter ``jitsi_jwt``: a signed token that lets one person into a meeting."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from vestibule.tokens.minting import TokenError, mint_with

DOCUMENTATION = r"""
name: jitsi_jwt
short_description: Mint a token for a Jitsi meeting
description:
  - Signs a JSON Web Token (RFC 7519) with HS256, as Jitsi's token authentication reads it.
  - Fills in the claims C(iss), C(aud), C(sub), C(iat), C(nbf) and C(exp). Others, such as C(jti),
    are taken from the value.
  - Whoever has the token gets in. Keep the task that handles it out of logs.
options:
  _input:
    description: >-
      The claims of the token. C(room) is required, V(*) opens every room. C(sub) may be given to
      replace the one made from I(domain), V(*) opens the rooms of every tenant. A room with other
      characters than those of plain addresses is percent-encoded, as in the address of the room.
    type: dict
    required: true
  secret:
    description: The secret that the server verifies with, 32 characters or more.
    type: str
    required: true
  issuer:
    description: The claim C(iss). Prosody calls it C(app_id).
    type: str
    required: true
  audience:
    description: The claim C(aud), one text.
    type: str
    required: true
  domain:
    description: Public name of the server, the claim C(sub) for rooms without a tenant.
    type: str
    required: true
  tenant:
    description: Tenant whose room it is, the claim C(sub) for C(/tenant/room).
    type: str
  lifetime:
    description: Seconds from now until the token expires.
    type: int
    default: 3600
  max_lifetime:
    description: >-
      The longest lifetime that the server takes, V(jitsi_token_max_lifetime). More is an error.
    type: int
  user:
    description: >-
      Who it is for, C(context.user), for example C(id), C(name), C(email), C(affiliation),
      C(moderator).
    type: dict
  features:
    description: What that person may do, C(context.features), for example C(recording).
    type: dict
  now:
    description: >-
      Seconds since 1970 from which the times count, by default the clock of the controller. The
      token is valid from 10 seconds before, so that a server whose clock is behind takes it.
    type: float
  kid:
    description: >-
      Name of the key in the header of the token, for a server with several. Empty for none.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Mint a token for a moderator
  ansible.builtin.set_fact:
    token: >-
      {{ {'room': 'standup'}
         | jitsi_jwt(secret=jitsi_token_secret, issuer='vestibule', audience='jitsi',
                     domain='meet.example.org', lifetime=900,
                     user={'name': 'Ada', 'affiliation': 'owner'}, features={'recording': true}) }}
  no_log: true
"""

RETURN = r"""
_value:
  description: The token, three parts of base64url joined by dots (RFC 7515, compact serialization).
  type: str
"""


def jitsi_jwt(claims: Any, **arguments: Any) -> str:
    """Ansible's shell around `vestibule.tokens.minting.mint`."""
    try:
        return mint_with(claims, arguments)
    except TokenError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_jwt": jitsi_jwt}
