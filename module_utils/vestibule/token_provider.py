"""What the module ``token_provider`` does."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.vestibule import files, provider_keys

_RUNS = ["UnitFileState=enabled", "ActiveState=active", "NeedDaemonReload=no"]

SPEC: dict[str, Any] = {
    "state": {"choices": ["present", "absent", "checked"], "default": "present"},
    "url": {"type": "str", "default": ""},
    "issuers": {"type": "list", "elements": "str", "default": []},
    "tenants": {"type": "list", "elements": "str", "default": []},
    "authority": {"type": "str", "default": ""},
    "file": {"type": "path", "required": True},
    "group": {"type": "str", "default": "prosody"},
    "metrics": {"type": "path", "required": True},
    "timer": {"type": "str", "required": True},
}


def are_there(params: dict[str, Any]) -> bool:
    """Whether there are keys already, of the same address, for the same issuers and tenants."""
    try:
        content = json.loads(files.read(params["file"]))
        keys, url = content["keys"], content["from"]
        whose = [(key["issuers"], key.get("tenants", [])) for key in keys]
    except (ValueError, LookupError, TypeError):
        return False
    return (
        url == params["url"]
        and bool(keys)
        and all(each == (params["issuers"], params["tenants"]) for each in whose)
    )


def _fetch(params: dict[str, Any], *, check: bool) -> None:
    if check:
        provider_keys.keys_of(provider_keys.fetch(params["url"], params["authority"]))
    else:
        os.makedirs(os.path.dirname(params["metrics"]), exist_ok=True)
        provider_keys.update(params)


def _runs_as_written(module: AnsibleModule, timer: str) -> bool:
    """Whether it will fetch, now and after a boot, by the units that lie on the disk."""
    asked = [each.partition("=")[0] for each in _RUNS]
    _, said, _ = module.run_command(["systemctl", "show", timer, "--property", ",".join(asked)])
    return set(_RUNS) <= set(said.split())


def run(module: AnsibleModule) -> dict[str, Any]:
    """What the module does, in check mode what it would do."""
    params = module.params
    timer, done = params["timer"], []
    if params["state"] == "absent":
        # The keys themselves go with what else was written, as that can come back
        metrics = params["metrics"]
        if os.path.exists(metrics):
            done.append(f"removed {metrics}")
            if not module.check_mode:
                module.run_command(["systemctl", "disable", "--now", "--quiet", timer])
                module.run_command(["systemctl", "stop", timer.replace(".timer", ".service")])
                files.remove(metrics)
        return {"changed": bool(done), "done": done}
    try:
        if params["state"] == "checked" or not are_there(params):
            is_check = module.check_mode or params["state"] == "checked"
            _fetch(params, check=is_check)
            done += ["fetched"] * (params["state"] == "present")
    except provider_keys.ProviderError as error:
        module.fail_json(
            msg=f"The keys of {params['url']} cannot be used: {error}. Look at it from this host,"
            " or put another address into jitsi_token_jwks_url."
        )
    if params["state"] == "present" and not _runs_as_written(module, timer):
        done.append("timer")
        if not module.check_mode:
            for words in (["daemon-reload"], ["enable", "--quiet", timer], ["restart", timer]):
                module.run_command(["systemctl", *words], check_rc=True)
    return {"changed": bool(done), "done": done}


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.exit_json(**run(module))
