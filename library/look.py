#!/usr/bin/python
"""Ansible module ``look``: which tasks would change nothing, asked in one round trip."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.vestibule import (
    acme_certificate,
    carried_secrets,
    config_files,
    differences,
    host_history,
    lua_libraries,
    prosody_account,
    prosody_health,
    self_signed,
    token_provider,
)

DOCUMENTATION = r"""
module: look
short_description: Find out in one round trip which tasks would change nothing
description:
  - Runs modules in check mode, one after the other, and names those that would change nothing and
    have nothing to say. Their tasks need not run.
  - What fails, warns or cannot tell is not named, so its task runs and says why itself.
  - Changes nothing, and shows nothing of what it is given.
options:
  wishes:
    description:
      - Modules with their arguments, by a name. Each has one of the modules C(acme_certificate),
        C(config_files), C(host_history), C(lua_libraries), C(prosody_account), C(prosody_health),
        C(self_signed), C(token_provider).
      - After a C(host_history) with something in the way, none is looked at any more, as all others
        stand on what it removes.
    type: dict
    required: true
  thorough:
    description:
      - Look also at what stands on what a C(host_history) has in the way.
    type: bool
    default: false
  secrets:
    description:
      - Secrets of this run, an empty text where there is none yet, to compare them with those that
        an earlier run left on the host.
    type: dict
    suboptions:
      app_secret:
        description: Key of the tokens.
        type: str
        required: true
      app_secret_given:
        description: Whether the operator gave it, who may give another one.
        type: bool
        required: true
      jicofo_password:
        description: Password of Jicofo.
        type: str
        required: true
      jicofo:
        description: Folder of Jicofo's configuration.
        type: path
        required: true
      turn_secret:
        description: What Prosody shares with TURN.
        type: str
        default: ""
      turn_wanted:
        description: Whether there shall be TURN.
        type: bool
        default: false
      accounts:
        description: Name of a password to C(jid) and C(password) of its account.
        type: dict
        required: true
      rotated:
        description: How often secrets were rotated, by which an older copy of them is known.
        type: int
        default: 0
      changing:
        description: Passwords that are being replaced, which the host may still have.
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Look which tasks would change nothing
  look:
    wishes:
      web_certificate:
        self_signed: {names: [meet.example.org], directory: /etc/vestibule/web, days: 820}
  no_log: true

- name: Create the certificate
  self_signed: {names: [meet.example.org], directory: /etc/vestibule/web, days: 820}
  when: "'web_certificate' not in ansible_facts['vestibule_settled']"
"""

RETURN = r"""
differences:
  description: >-
    What differs of the wishes that are not fulfilled, with C(wish), its C(module), the C(subject),
    which is a path, an account or the like, and C(what), words that show no content.
  returned: always
  type: list
  elements: dict
  sample: [{wish: web_certificate, module: self_signed, subject: /etc/x.crt, what: missing}]
rereads:
  description: Names of those of them that Prosody takes with a reload.
  returned: always
  type: list
  elements: str
  sample: []
unread:
  description: Names of those of them whose service has not read what is there already.
  returned: always
  type: list
  elements: str
  sample: []
unsettled:
  description: Names of the wishes that are not fulfilled, or were not looked at.
  returned: always
  type: list
  elements: str
  sample: []
ansible_facts:
  description: The facts C(vestibule_settled) and C(vestibule_carried).
  returned: always
  type: complex
  contains:
    vestibule_settled:
      description: Names of the wishes that are fulfilled.
      returned: always
      type: list
      elements: str
      sample: [web_certificate]
    vestibule_carried:
      description: Names of the secrets of which the host has others than this run.
      returned: always
      type: list
      elements: str
      sample: [token_secret]
"""

_MODULES: dict[str, Any] = {
    "acme_certificate": acme_certificate,
    "config_files": config_files,
    "host_history": host_history,
    "lua_libraries": lua_libraries,
    "prosody_account": prosody_account,
    "prosody_health": prosody_health,
    "self_signed": self_signed,
    "token_provider": token_provider,
}
# What a result has where something is to be done or said
_TELLING = ("changed", "findings", "missing", "problems", "later", "unread")


class Refused(RuntimeError):
    """What a module says instead of an answer."""


@dataclass
class Looked:
    """What a look has found."""

    settled: list[str] = field(default_factory=list)  # names of wishes
    differences: list[dict[str, str]] = field(default_factory=list)
    rereads: list[str] = field(default_factory=list)  # names of wishes
    unread: list[str] = field(default_factory=list)  # names of wishes


def refuse(**result: Any) -> None:
    """Take the place of C(fail_json), which would end the whole look."""
    raise Refused(result.get("msg"))


def ask(module: AnsibleModule, name: str, arguments: Any) -> dict[str, Any] | str:
    """What a module would do, or where it cannot tell why, as far as that shows nothing."""
    part = copy(module)
    part.check_mode, part._diff, part.fail_json = True, False, refuse
    try:
        checked = ArgumentSpecValidator(_MODULES[name].SPEC).validate(arguments)
        part.params = checked.validated_parameters
        return "wrong options" if checked.error_messages else _MODULES[name].run(part)
    except (Refused, config_files.ConfigFilesError) as error:  # sentences of ours
        return str(error)
    except Exception as error:  # whatever it is, the task meets it again and says it
        return type(error).__name__


def copies_any(wish: dict[str, Any], paths: set[str]) -> bool:
    """Whether files of a wish are copies of files that an earlier wish is going to replace."""
    return any(file.get("copy_of") in paths for file in wish.get("files", []))


def look(module: AnsibleModule, wishes: dict[str, dict[str, Any]], *, thorough: bool) -> Looked:
    """Which wishes are fulfilled, and what differs of the others."""
    looked = Looked()
    replaced: set[str] = set()
    for wish, modules in wishes.items():
        ((name, arguments),) = modules.items()
        answer = ask(module, name, arguments)
        result = answer if isinstance(answer, dict) else {}
        replaced.update(result.get("renewed", []), result.get("created", []))
        is_copy = copies_any(arguments, replaced)
        if result.get("rereads"):
            looked.rereads.append(wish)
        if result.get("unread"):
            looked.unread.append(wish)
        if not is_copy and result and not any(result.get(each) for each in _TELLING):
            looked.settled.append(wish)
            continue
        told = differences.of(name, result) if result else [{"subject": wish, "what": str(answer)}]
        if is_copy and not told:
            told = [{"subject": wish, "what": "has a copy of what is replaced"}]
        looked.differences += [{"wish": wish, "module": name, **each} for each in told]
        in_the_way = result.get("in_the_way", True) if name == "host_history" else False
        if in_the_way and not thorough:
            break
    return looked


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        # Contents of files and passwords are in it
        argument_spec={
            "wishes": {"type": "dict", "required": True, "no_log": True},
            "secrets": {"type": "dict", "no_log": True, "options": carried_secrets.SPEC},
            "thorough": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    # Names alone are returned, and those would be masked that stand in what is kept from logs
    wishes, secrets = module.params.pop("wishes"), module.params.pop("secrets")
    module.no_log_values.clear()
    looked = look(module, wishes, thorough=module.params["thorough"])
    facts = {
        "vestibule_settled": looked.settled,
        "vestibule_carried": carried_secrets.others(secrets) if secrets else [],
    }
    module.exit_json(
        changed=False,
        ansible_facts=facts,
        unsettled=[name for name in wishes if name not in looked.settled],
        differences=looked.differences,
        rereads=looked.rereads,
        unread=looked.unread,
    )


if __name__ == "__main__":
    main()
