"""What the operator wants, compiled into one model of the server. Pure: it touches no host.

In the order of a compilation: the feature files and which of them are on (`features`), the
operator's options (`options`), the texts with ``{{ … }}`` (`expressions`), everything merged
(`compiler`), and what must not hold of the result (`rules`). For people: the model in words
(`explain`), and the modules of Prosody that a plugin tree lacks (`modules`).
"""

from __future__ import annotations

from pathlib import Path


class ModelError(ValueError):
    """The operator's choices make no model. The message is a sentence for the operator."""


def beside(name: str) -> Path:
    """Where something lies that people extend: ``features``, ``contradictions.yml``.

    Both are in the checkout beside this package, to which .venv has a link. Raises ModelError where
    they are not there.
    """
    path = Path(__file__).resolve().parents[2] / name
    if not path.exists():
        raise ModelError(
            f"{path} is not there. The package vestibule runs from its checkout: restore {name} in"
            " it, and run scripts/bootstrap."
        )
    return path
