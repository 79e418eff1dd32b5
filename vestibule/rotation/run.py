"""One run of a rotation: what it says and changes before a deployment, and what it notes after."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vestibule.rotation import RotationError
from vestibule.rotation.request import request_of
from vestibule.rotation.stages import Deployment, finish, stage_of, status_of, tidy
from vestibule.rotation.state import Rotations, State, rotations_of
from vestibule.secret_store import SecretError, changed, read, store_of


def told(host: str, inventory: str | None, vault: Any) -> dict[str, Any]:
    """What the secrets of a host have beside themselves, without an inventory nothing.

    Raises RotationError.
    """
    if not inventory:
        return asdict(Rotations())
    try:
        known, _ = read(store_of(host, inventory), vault)
        return asdict(rotations_of(known, time.time()))
    except (OSError, SecretError) as error:
        raise RotationError(_words(error)) from None


def step(
    asked: Mapping[str, Any], host: str, inventory: str | None, vault: Any, *, only_say: bool
) -> dict[str, Any]:
    """One step by the arguments of the action rotate_secrets, and what it returns.

    Raises RotationError.
    """
    try:
        store = store_of(host, inventory)
        if asked["step"] == "end":
            end(asked["names"], store, host, vault)
            return {"changed": False}
        options = asked["options"]
        of = Deployment(
            options,
            asked["accounts"],
            asked["has_turn"],
            asked["has_own_secret"],
            # The clock of whoever signs is early, and late for the end; ours is another one
            options["token_max_lifetime"] + 2 * options["token_leeway"] + asked["clock_tolerance"],
            str(store),
        )
        return begin(asked["asked"], asked["variables"], of, host, vault, only_say=only_say)
    except (OSError, SecretError) as error:
        raise RotationError(_words(error)) from None


def _words(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def begin(
    given: Mapping[str, Any],
    variables: Iterable[str],
    of: Deployment,
    host: str,
    vault: Any,
    *,
    only_say: bool,
) -> dict[str, Any]:
    """Begin the next stage in the store, unless a status is asked for or ``only_say``.

    Returns what to tell before and after, whether there is something to deploy, and what to prove.
    Raises RotationError, SecretError and OSError.
    """
    now = time.time()
    request = request_of(given, variables)
    store = Path(of.store)
    if request.status:
        known, _ = read(store, vault)
        return {
            "changed": False,
            "deploys": False,
            "before": status_of(known, now),
            "after": [],
        }
    said: dict[str, Any] = {}

    def change(known: dict[str, str]) -> None:
        if not known:
            raise RotationError(
                f"{of.store} is not there, so there is nothing to rotate. Copy it from whoever"
                f" deployed {host} last; or deploy with playbooks/site.yml first."
            )
        stage = stage_of(request, known, of, now)
        said.update(
            changed=stage.change is not None,
            deploys=not only_say,
            before=list(stage.before),
            after=list(stage.after),
            names=list(stage.names),
            kid=stage.kid,
            proof=stage.proof,
        )
        if stage.change and not only_say:
            state = State.of(known)
            stage.change(known, state)
            tidy(state, of.options)
            state.put(known)

    changed(store, host, vault, change)
    return said


def end(names: Iterable[str], store: Path, host: str, vault: Any) -> None:
    """Note that these are deployed and proven. Raises as begin does."""

    def change(known: dict[str, str]) -> None:
        state, before = State.of(known), State.of(known)
        finish(known, state, names)
        if state != before:
            # No other count: what is deployed has not changed
            state.put(known, count=state.count)

    changed(store, host, vault, change)
