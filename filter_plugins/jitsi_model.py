"""Filter ``jitsi_model``: what the operator wants, compiled into one model of the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

try:
    from vestibule.arguments import checked
    from vestibule.model import ModelError
    from vestibule.model.compiler import compile_model
except ModuleNotFoundError:
    # Every playbook asks for the model first, and here is where one learns what is wrong
    ModelError = ValueError  # type: ignore[assignment,misc]

    def checked(filter_: Any, *_: Any) -> Any:  # type: ignore[misc]
        """The filter as it is."""
        return filter_

    def compile_model(*_: Any) -> Any:  # type: ignore[misc]
        """Say what to do, where Ansible would say that there is no such filter."""
        raise ModelError(
            "The Python of this Ansible lacks the package vestibule. Run scripts/bootstrap, then"
            " .venv/bin/ansible-playbook."
        )


DOCUMENTATION = r"""
name: jitsi_model
short_description: Compile the operator's jitsi_* variables and features into one model
description:
  - Merges the feature files onto the base and returns plain data, touching no host.
  - Lists append without duplicates. A setting may be set by one feature only.
  - Unknown features, misspelt variables, unmet requirements and contradictions are errors that
    name the variable and the remedy. The contradictions are those in C(contradictions.yml) beside
    the folder of the features.
options:
  _input:
    description: The operator's variables, every C(jitsi_*) that is not a role's own.
    type: dict
    required: true
  features:
    description: Folder of the feature files, by default C(features) beside the package vestibule.
    type: path
  names:
    description: Names of variables to check for misspellings, beside those of the input.
    type: list
    elements: str
    default: []
  inventory:
    description: >-
      Where groups of the inventory split a server: C(host), the C(groups) with their hosts, the
      C(domains) of all hosts, and in C(turn) what those in the group C(turn) say of themselves, by
      option and host. Empty: every host is a whole server.
    type: dict
    default: {}
  problem_only:
    description: >-
      Return the sentence of the error, or an empty text, instead of the model. For assert, whose
      message is easier to read than that of a failing filter.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what would be deployed
  ansible.builtin.debug:
    msg: "{{ {'jitsi_domain': 'meet.example.org'} | jitsi_model }}"
"""

RETURN = r"""
_value:
  description: >-
    The model. C(features) are the names that are on, C(options) the operator's choices with
    their defaults, C(names) the addresses of this deployment, C(machines) who enters meetings
    and is no person, C(bridges) who carries audio and video, C(turn_servers) by which name and
    at which ports people find each TURN server, C(accounts) the accounts and what their
    passwords are called, C(accounts_off) those of features that are off, C(prosody), C(jicofo),
    C(bridge) and C(web) the configuration of each program, C(deployment) which hosts are parts
    of the server, C(here) what of it the host itself has, C(tenant_web) what the last one says
    otherwise in rooms of a tenant, C(needed_by) the features that load each Prosody module,
    C(cases) the names of the access cases that prove it. For people, C(why) says of each
    feature why it is on, C(off) of those that are on by default why they are off, C(may) maps
    actor and action to yes, no or a condition in words, C(opens) are the ports that a firewall
    lets in, and C(warnings) are sentences.
  type: dict
"""


def jitsi_model(
    given: Mapping[str, Any],
    features: str = "",
    names: Iterable[str] = (),
    problem_only: bool = False,
    inventory: Mapping[str, Any] | None = None,
) -> dict[str, Any] | str:
    """Ansible's shell around `vestibule.model.compiler`."""
    try:
        model = compile_model(given, names, str(features), inventory)
    except ModelError as error:
        if problem_only:
            return str(error)
        raise AnsibleFilterError(str(error)) from error
    return "" if problem_only else model


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"jitsi_model": checked(jitsi_model, DOCUMENTATION, AnsibleFilterError)}
