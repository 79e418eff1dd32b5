"""What Prosody's modules say of themselves in their text."""

from __future__ import annotations

import re

_OPTION = re.compile(r"""get_option[a-z_]*\s*\(\s*["'](\w+)["']""")


def is_module(name: str) -> bool:
    """Whether a file of this name is a module, ``mod_*.lua``."""
    return name.startswith("mod_") and name.endswith(".lua")


def options(name: str, text: str) -> set[str]:
    """Options that ``mod_*.lua`` reads, as ``module.option`` (Prosody: moduleapi, get_option)."""
    module = name[len("mod_") : -len(".lua")]
    return {f"{module}.{option}" for option in _OPTION.findall(text)}
