"""Rotations: keys of tokens in stages, passwords at once."""


class RotationError(ValueError):
    """Nothing is rotated. The message is a sentence for the operator, without a secret."""
