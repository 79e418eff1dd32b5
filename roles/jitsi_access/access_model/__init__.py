"""What the operator wants, compiled into one model of the server. Pure: it touches no host.

In the order of a compilation: the feature files and which of them are on (`features`), the
operator's options (`options`), the texts with ``{{ … }}`` (`expressions`), everything merged
(`model`), and what must not hold of the result (`rules`).
"""

from __future__ import annotations


class ModelError(ValueError):
    """The operator's choices make no model. The message is a sentence for the operator."""
