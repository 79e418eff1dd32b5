#!/usr/bin/python
"""Ansible module ``certificates``: what is in files of certificates, and what is shown of them."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import certificates

DOCUMENTATION = r"""
module: certificates
short_description: Look at certificates as clients do
description:
  - Reads files of certificates and keys, has OpenSSL connect with them in memory, and connects to
    the programs that should show them.
options:
  certificates:
    description: Certificates to look at.
    type: list
    elements: dict
    required: true
    suboptions:
      names:
        description: Names of servers, of which each has a certificate.
        type: list
        elements: str
        required: true
      more_names:
        description: Further names that an operator's certificate has to be for.
        type: list
        elements: str
        default: []
      directory:
        description: Where they are, as C(NAME.crt) and C(NAME.key).
        type: str
      path:
        description: File with the certificate and those of the authorities in between, instead.
        type: str
      key:
        description: File with its key. Without it, nothing of the certificate is judged.
        type: str
      variable:
        description:
          - Variable of the operator that names I(path); with C(_key) and C(_authority) behind it
            those of the others. Empty where an earlier run made the certificate, which then need
            not be there, nor be signed by anybody.
        type: str
        default: ""
      authority:
        description: File with the certificate of a private authority that signed it.
        type: str
      address:
        description: Where a program shows the certificate.
        type: str
      port:
        description: TCP port of that program.
        type: int
      xmpp:
        description: Whether TLS has to be asked for in a stream of XMPP first.
        type: bool
        default: false
      java:
        description: Store of Java that should have the certificate.
        type: str
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Look whether nginx shows the certificate that is in the file
  certificates:
    certificates:
      - names: [meet.example.org]
        path: /etc/ssl/meet.pem
        key: /etc/ssl/meet.key
        variable: jitsi_web_certificate
        address: 127.0.0.1
        port: 443
"""

RETURN = r"""
certificates:
  description: What there is to say of each, by its path.
  returned: success
  type: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    name:
      description: The name of the server.
      type: str
      returned: always
    problem:
      description: A sentence where nobody could use it, else empty.
      type: str
      returned: always
    ends:
      description: >-
        When the first certificate of the chain ends, in seconds since 1970. Null where that is not
        known.
      type: float
      returned: always
    responder:
      description: Whether it names who confirms that it counts (OCSP).
      type: bool
      returned: always
    chain:
      description: The text of the file, empty where it has no certificate.
      type: str
      returned: always
    authority:
      description: >-
        The certificates in I(authority) that sign themselves, or all of them. Null without it.
      type: str
      returned: always
    shown:
      description: Whether the program shows this certificate. Null where none answers.
      type: bool
      returned: always
    in_java:
      description: Whether the store of Java has it. Null where that cannot be seen.
      type: bool
      returned: always
"""


def main() -> None:
    """Entry point of the module."""
    options = {"type": "list", "elements": "dict", "required": True, "options": certificates.SPEC}
    module = AnsibleModule(
        argument_spec={"certificates": options},
        supports_check_mode=True,
    )
    found = certificates.look(module.params["certificates"])
    module.exit_json(changed=False, certificates=found)


if __name__ == "__main__":
    main()
