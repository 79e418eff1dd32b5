"""One run of a rotation: what it says and changes before a deployment, and what it notes after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vestibule.rotation import RotationError
from vestibule.rotation.request import request_of
from vestibule.rotation.stages import Deployment, finish, stage_of, status_of, tidy
from vestibule.rotation.state import State
from vestibule.secret_store import changed, read


def begin(
    given: Mapping[str, Any],
    variables: Iterable[str],
    of: Deployment,
    host: str,
    vault: Any,
    now: float,
    *,
    only_say: bool,
) -> dict[str, Any]:
    """Begin the next stage in the store, unless a status is asked for or ``only_say``.

    Returns what to tell before and after, whether there is something to deploy, and what to prove.
    Raises RotationError and SecretError.
    """
    request = request_of(given, variables)
    store = Path(of.store)
    if request.status:
        known, _ = read(store, vault)
        said = status_of(known, now)
        return {"changed": False, "deploys": False, "before": said, "after": []}
    told: dict[str, Any] = {}

    def change(known: dict[str, str]) -> None:
        if not known:
            raise RotationError(
                f"{of.store} is not there, so there is nothing to rotate. Copy it from whoever"
                f" deployed {host} last; or deploy with playbooks/site.yml first."
            )
        stage = stage_of(request, known, of, now)
        told.update(
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
    return told


def end(names: Iterable[str], store: Path, host: str, vault: Any) -> None:
    """Note that these are deployed and proven. Raises RotationError and SecretError."""

    def change(known: dict[str, str]) -> None:
        state, before = State.of(known), State.of(known)
        finish(known, state, names)
        if state != before:
            # No other count: what is deployed has not changed
            state.put(known, count=state.count)

    changed(store, host, vault, change)
