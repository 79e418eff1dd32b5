#!/usr/bin/python
"""Ansible module ``acme_certificate``: a certificate from an authority that speaks ACME.

Ansible's own module for this (community.crypto.acme_certificate) asks once and renews nothing
between runs. This one hands the certificate to certbot, whose timer renews it.
"""

from __future__ import annotations

from ansible.module_utils.vestibule.acme_certificate import main

DOCUMENTATION = r"""
module: acme_certificate
short_description: Have certbot get a certificate and renew it
description:
  - Asks the authority where there is no certificate of this name, where it came from another
    authority, in another way or for other names, and where it ends within 20 days, since the timer
    has failed then.
  - Certificates with the same I(deploy_hook) and another name were asked for by an earlier run.
    They are deleted, with a copy in C(/var/backups/vestibule). Others are none of its business.
  - Whoever runs it agrees to the terms of the authority.
  - Needs certbot and openssl on the host.
options:
  state:
    description: Whether there shall be a certificate.
    type: str
    choices: [present, absent]
    default: present
  domain:
    description: Name of the server.
    type: str
    required: true
  more_names:
    description: Further names that it is for.
    type: list
    elements: str
    default: []
  server:
    description:
      - Address of the authority's directory (RFC 8555, section 7.1.1). The host has to trust the
        certificate of that address.
    type: str
    default: ""
  email:
    description: Where the authority writes to. Empty for nowhere.
    type: str
    default: ""
  webroot:
    description:
      - Folder of which a web server shows C(.well-known/acme-challenge) on port 80. Without it, and
        without I(auth_hook), certbot answers there itself.
    type: path
  auth_hook:
    description:
      - Program on the host that puts C(CERTBOT_VALIDATION) into the DNS, as C(TXT) of
        C(_acme-challenge) before C(CERTBOT_DOMAIN). With it nothing is asked over HTTP.
    type: path
  cleanup_hook:
    description: Program that takes it away.
    type: path
  path:
    description: Where I(deploy_hook) puts the chain.
    type: path
  deploy_hook:
    description: Program that puts a new certificate, in C(RENEWED_LINEAGE), into its place.
    type: path
    required: true
  timer:
    description: Unit of systemd that renews.
    type: str
    required: true
attributes:
  check_mode:
    description: Asks nobody.
    support: full
  diff_mode:
    description: Changes nothing that has a text.
    support: none
"""

EXAMPLES = r"""
- name: Have a certificate
  acme_certificate:
    domain: meet.example.org
    server: https://acme.example.org/directory
    webroot: /var/lib/vestibule-acme
    path: /etc/vestibule/acme/meet.example.org.crt
    deploy_hook: /usr/local/lib/vestibule/new-certificate
    timer: certbot.timer
"""

RETURN = r"""
done:
  description: >-
    What was (in check mode, would be) done, in order; C(deleted) with a name, C(asked),
    C(installed), C(timer).
  returned: success
  type: list
  elements: str
  sample: [asked]
"""

if __name__ == "__main__":
    main()
