"""What is in a backup, without a host."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from vestibule.backup_file import BackupError
from vestibule.backups import check, summary
from vestibule.command import CommandError, ansible_inventory
from vestibule.model import beside


def text(path: Path, as_json: bool, variables: bool) -> str:
    """What a backup has, once all of it was read. Raises CommandError."""
    vault = ansible_inventory.vault(beside("playbooks").parent)
    try:
        contents = check(path, vault)
    except BackupError as error:
        raise CommandError(str(error)) from None
    if variables:
        return yaml.safe_dump(contents["variables"], sort_keys=False, allow_unicode=True).rstrip()
    shown = summary(contents)
    if as_json:
        return json.dumps(shown)
    return "\n".join(
        [
            f"{path} is whole.",
            f"  server     {shown['domain']} (host {shown['host']})",
            f"  made       {shown['made']}",
            f"  data       {shown['count']} files and folders, {shown['unpacked']} bytes",
            *(f"             {top}" for top in shown["tops"]),
            f"  secrets    {', '.join(shown['secrets']) or 'none'}",
            f"  versions   {'yes' if shown['has_versions'] else 'none'}",
            f"  variables  {', '.join(shown['variables']) or 'none'}",
        ]
    )
