# Ansible ships no types; what the modules share is found here under the name Ansible gives it.
from typing import Any

def __getattr__(name: str) -> Any: ...
