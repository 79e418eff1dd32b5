#!/usr/bin/python
"""Ansible module ``token_provider``: the keys of an identity provider, fetched and kept fresh."""

from __future__ import annotations

from ansible.module_utils.vestibule.token_provider import main

DOCUMENTATION = r"""
module: token_provider
short_description: Fetch the keys of an identity provider, and have a timer do so from now on
description:
  - Fetches a JWK Set (RFC 7517) where there are no keys yet, or keys for other issuers or tenants,
    and writes them as C(mod_token_keys) reads them. The timer of systemd does so later.
  - What is no such set fails, and the keys from before stay.
options:
  state:
    description:
      - With C(checked) the set is fetched and looked at, and nothing is written.
      - With C(absent) keys and timer go.
    type: str
    choices: [present, absent, checked]
    default: present
  url:
    description: Address of the set, https.
    type: str
    default: ""
  issuers:
    description: For whom its keys may sign.
    type: list
    elements: str
    default: []
  tenants:
    description: Whose rooms its keys open. Empty for all.
    type: list
    elements: str
    default: []
  authority:
    description: Root certificate of the provider's, a file. Empty for those that the host trusts.
    type: str
    default: ""
  file:
    description: Where the keys go.
    type: path
    required: true
  group:
    description: Group that reads them.
    type: str
    default: prosody
  metrics:
    description: Where it is written how the last fetch went, as Prometheus reads it.
    type: path
    required: true
  timer:
    description: Unit of systemd that fetches.
    type: str
    required: true
attributes:
  check_mode:
    description: Fetches the set and looks at it.
    support: full
  diff_mode:
    description: Changes nothing that has a text.
    support: none
"""

EXAMPLES = r"""
- name: Have the keys of the provider
  token_provider:
    url: https://id.example.org/realms/meet/protocol/openid-connect/certs
    issuers: [https://id.example.org/realms/meet]
    file: /etc/vestibule/tokens/provider.json
    metrics: /var/lib/vestibule-tokens/token_keys.prom
    timer: vestibule-token-keys.timer
"""

RETURN = r"""
done:
  description: What was (in check mode, would be) done, in order.
  returned: success
  type: list
  elements: str
  sample: [fetched, timer]
"""

if __name__ == "__main__":
    main()
