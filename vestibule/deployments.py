"""Deployments to a host, one at a time: whose it is, and whether that one may still be at work."""

from __future__ import annotations

import getpass
import multiprocessing
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vestibule.draining import duration

# Seconds after which a run of another controller counts as ended: where its connection is gone, of
# which a run may have none for some minutes, and in any case
_GONE_AFTER = 15 * 60
_ENDS_AFTER = 6 * 3600
_PROC = Path("/proc")


def _began(pid: int) -> str:
    """When a process of this machine began, in ticks since its boot; empty where there is none."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(") ")[2].split()[19]


def _machine() -> str:
    """Boot of the controller, and the space in which numbers of its processes count."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {(_PROC / 'self/ns/pid').readlink()}"


def holder() -> dict[str, Any]:
    """Who this run is: ``who``, ``where``, and what tells one run from another."""
    parent = multiprocessing.parent_process()  # tasks have processes of their own
    process = parent.pid if parent and parent.pid else os.getpid()
    machine, began = _machine(), _began(process)
    return {
        "who": getpass.getuser(),
        "where": socket.gethostname(),
        "machine": machine,
        "process": process,
        "began": began,
        "run": f"{machine} {process} {began}",
    }


def has_ended(lease: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Whether the holder of a lease is no longer at work, as far as anybody can tell."""
    other = lease["holder"]
    if other["machine"] == own["machine"]:
        return bool(_began(other["process"]) != other["began"])
    patience = _ENDS_AFTER if lease["connected"] else _GONE_AFTER
    return bool(lease["age"] > patience)


def is_free(lease: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Whether this run may take it."""
    other = lease["holder"]
    return not other or other["run"] == own["run"] or has_ended(lease, own)


def describe(lease: Mapping[str, Any]) -> str:
    """Whose it is and since when, in words."""
    began = time.strftime("%H:%M:%S", time.gmtime(lease["since"]))
    return (
        f"{lease['holder']['who']} on {lease['holder']['where']}, since {began} UTC"
        f" ({duration(max(0.0, lease['age']))} ago)"
    )


def refusal(lease: Mapping[str, Any], host: str) -> str:
    """Why this run may not change a host that another one changes."""
    return (
        f"Another run deploys to {host}: {describe(lease)}. Wait until it has ended, then run this"
        " again. Where it was cut off, on another controller than this one, it counts as ended"
        f" {duration(_GONE_AFTER)} after it began, once its connection is gone; or at once after rm"
        f" /run/vestibule/lease.json on {host}."
    )
