"""Action ``play_access_cases``: play access cases at the host's front door, from the controller.

Everything happens in the controller's own process: no secret reaches the host, a command line or a
file. Of the host it reads the certificate and, when a verdict is wrong, the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from vestibule.access.prove import Output, ProofError, prove, stopped_half_way
from vestibule.module_answers import answer

DOCUMENTATION = r"""
name: play_access_cases
short_description: Play access cases at the front door of a host
description:
  - Connects from the controller as a browser does, over WebSocket and over BOSH, and tries what
    each case says, with tokens that it signs itself. A refusal counts only while its control, the
    same request with one thing right, succeeds.
  - Shows each verdict as it comes, writes all of them to a file, and fails when one is wrong.
  - Changes nothing on the host that stays. In check mode it is skipped, as nothing is deployed
    then.
options:
  domain:
    description: Public name of the server, for which its certificate has to be.
    type: str
    required: true
  address:
    description: Address to connect to, which the public name need not resolve to.
    type: str
    required: true
  port:
    description: TCP port of HTTPS.
    type: int
    required: true
  certificate:
    description: Certificate to trust, in PEM form. Empty to read it from the host.
    type: str
    required: true
  certificate_path:
    description: File on the host with that certificate.
    type: str
    required: true
  self_signed:
    description:
      - Whether exactly that certificate is trusted, as the host signed it itself. Otherwise those
        who sign for browsers are, or I(authority).
    type: bool
    required: true
  authority:
    description: File on the host with the root of a private authority, or empty.
    type: str
    required: true
  inner_certificates:
    description: Certificates of Prosody to look at, with the options of the module M(certificates).
    type: list
    elements: dict
    required: true
  cases:
    description: Names of the cases, as C(cases) of the model from P(jitsi_model#filter).
    type: list
    elements: str
    required: true
  features:
    description: Features of the server. Attempts that need another one are left out.
    type: list
    elements: str
    required: true
  options:
    description: Options of those features by name, without the prefix C(jitsi_).
    type: dict
    required: true
  token:
    description: How to sign tokens that the server accepts.
    type: dict
    required: true
    suboptions:
      algorithm:
        description: The algorithm, V(HS256).
        type: str
        required: true
      secret:
        description:
          - The secret that the server verifies with. Empty to bring a key for this proof alone,
            which is written to the host, ends by itself after a quarter of an hour, and is removed.
        type: str
        required: true
      issuer:
        description: The claim C(iss).
        type: str
        required: true
      audience:
        description: The claim C(aud).
        type: str
        required: true
      kid:
        description: Name of the key in the header, or empty.
        type: str
        default: ""
      keys:
        description: By kid, secrets and private keys of the server's other keys that are known.
        type: dict
        default: {}
  mint_command:
    description:
      - Program and arguments, run on the controller without a shell, that reads claims in JSON
        and prints a token with them. It signs in place of I(token.secret). What would have to be
        forged with the same secret or key is left out, and a warning names it.
    type: list
    elements: str
    default: []
  mint_issuer:
    description: The claim C(iss) of its tokens. Empty for I(token.issuer).
    type: str
    default: ""
  turn_secret:
    description: Secret of the TURN server, with which credentials of yesterday are made.
    type: str
    default: ""
  turn_beside:
    description: Whether there is a TURN server by the name of the pages.
    type: bool
    default: true
  turn_servers:
    description:
      - TURN servers on other hosts, with the keys of jitsi_verify_turn_servers. Their C(seen) is
        what the module M(certificates) tells there.
    type: list
    elements: dict
    default: []
  bridges:
    description: Names that bridges have in the addresses of their channels.
    type: list
    elements: str
    default: []
  bridge_addresses:
    description: Addresses of those that are on other hosts.
    type: list
    elements: str
    default: []
  login_port:
    description: TCP port where bridges on other hosts log in.
    type: int
    default: 5222
  report:
    description: File on the controller for the verdicts, in JSON.
    type: path
    required: true
  note:
    description: A line to show before the verdicts, or empty.
    type: str
    required: true
  log_unit:
    description: Unit of systemd whose log explains a wrong verdict.
    type: str
    required: true
  browser:
    description:
      - Program with which to play the cases that need a browser, V(none) to leave them out.
        Empty to look for Chromium, and to leave them out where there is none.
    type: str
    required: true
  timeout:
    description: Seconds that the server has for each answer.
    type: int
    required: true
  focus_timeout:
    description: Seconds that Jicofo has to open a first room.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Prove that nobody gets in without a token
  play_access_cases:
    domain: meet.example.org
    address: 192.0.2.10
    port: 443
    certificate: ""
    certificate_path: /etc/vestibule/web/meet.example.org.crt
    self_signed: true
    authority: ""
    inner_certificates: []
    cases: [no_token_refused]
    features: [base, tokens]
    options: {}
    token:
      algorithm: HS256
      secret: "{{ lookup('vestibule_secret', 'token_secret') }}"
      issuer: vestibule
      audience: jitsi
    report: build/reports/meet-access.json
    note: ""
    log_unit: prosody
    browser: ""
    timeout: 10
    focus_timeout: 60
"""

RETURN = r"""
right:
  description: How many verdicts are right.
  type: int
  returned: when the cases were played
wrong:
  description: How many are wrong.
  type: int
  returned: when the cases were played
seconds:
  description: How long it took.
  type: float
  returned: when the cases were played
report:
  description: Path of the report.
  type: str
  returned: when the cases were played
"""

_ARGUMENTS: dict[str, Any] = {
    "domain": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "certificate": {"type": "str", "required": True},
    "certificate_path": {"type": "str", "required": True},
    "self_signed": {"type": "bool", "required": True},
    "authority": {"type": "str", "required": True},
    "inner_certificates": {"type": "list", "elements": "dict", "required": True},
    "cases": {"type": "list", "elements": "str", "required": True},
    "features": {"type": "list", "elements": "str", "required": True},
    "options": {"type": "dict", "required": True},
    "token": {
        "type": "dict",
        "required": True,
        "no_log": True,
        "options": {
            "algorithm": {"type": "str", "required": True},
            "secret": {"type": "str", "required": True, "no_log": True},
            "issuer": {"type": "str", "required": True},
            "audience": {"type": "str", "required": True},
            "kid": {"type": "str", "default": ""},
            "keys": {"type": "dict", "default": {}, "no_log": True},
        },
    },
    "mint_command": {"type": "list", "elements": "str", "default": []},
    "mint_issuer": {"type": "str", "default": ""},
    "turn_secret": {"type": "str", "default": "", "no_log": True},
    "turn_beside": {"type": "bool", "default": True},
    "turn_servers": {"type": "list", "elements": "dict", "default": []},
    "bridges": {"type": "list", "elements": "str", "default": []},
    "bridge_addresses": {"type": "list", "elements": "str", "default": []},
    "login_port": {"type": "int", "default": 5222},
    "report": {"type": "path", "required": True},
    "note": {"type": "str", "required": True},
    "log_unit": {"type": "str", "required": True},
    "browser": {"type": "str", "required": True},
    "timeout": {"type": "int", "required": True},
    "focus_timeout": {"type": "int", "required": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core comes without type hints
    """Ansible's shell around `vestibule.access.prove`."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return how many verdicts are right and where the report is. Never an argument."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        host = variables["inventory_hostname"]
        if self._task.check_mode:
            message = "in check mode nothing is deployed, so there is nothing to prove"
            display.display(f"  {host}: {message}")
            return {"skipped": True, "msg": message}
        _, arguments = self.validate_argument_spec(_ARGUMENTS)
        several = len(variables.get("ansible_play_hosts", [])) > 1
        try:
            return prove(arguments, Host(host, self, variables), Screen(host if several else ""))
        except AnsibleError:
            raise
        except ProofError as error:
            raise AnsibleActionFail(str(error)) from None
        except Exception as error:
            sentence = stopped_half_way(error, arguments["token"]["secret"])
            raise AnsibleActionFail(sentence) from None


class Host:
    """The host over the connection of the task."""

    def __init__(self, name: str, action: ActionModule, variables: Mapping[str, Any]) -> None:
        self.name, self._action, self._variables = name, action, variables

    def certificates(self, wanted: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """What the host tells of its certificates, by path."""
        told = answer(self._action, "certificates", {"certificates": wanted}, self._variables)
        return dict(told["certificates"])

    def run(self, command: str) -> Output:
        """Run a shell command."""
        done = self._action._low_level_execute_command(command)
        return Output(done["rc"], done["stdout"], done["stderr"])

    def keep_key(self, path: str, content: str) -> None:
        """Write a file of keys, or remove it."""
        wish = {"content": content, "mode": "0640", "group": "prosody", "secret": True}
        file = {"path": path, **(wish if content else {"state": "absent"})}
        told = self._action._execute_module(
            "config_files", module_args={"files": [file]}, task_vars=self._variables
        )
        if told.get("failed"):
            raise AnsibleActionFail(
                f"The key of this proof is not {'on' if content else 'removed from'} {self.name}"
                f" ({told.get('msg')}). Deploy with playbooks/site.yml first."
            )


class Screen:
    """Where people see the verdicts, beside those of other hosts if there are several."""

    def __init__(self, host: str) -> None:
        self._margin = f"  {host}  " if host else "  "

    def line(self, text: str, right: bool | None = None) -> None:
        """Show a line at once, while the task still runs."""
        color = {True: constants.COLOR_OK, False: constants.COLOR_ERROR, None: None}[right]
        display.display(self._margin + text, color=color)

    def warning(self, text: str) -> None:
        """Show a warning of Ansible's."""
        display.warning(text)
