"""What can go wrong, as one tree.

MambaOutError
├── CheckpointError      a weight file is damaged, hostile, incomplete or made for another model
├── WeightsUnavailable   the weights are not on this machine and could not be fetched
└── ExplanationError     a model or a picture that an explanation cannot be made for
"""

from __future__ import annotations


class MambaOutError(Exception):
    """Base of every error raised on purpose; its text may be shown to a user as it is."""


class CheckpointError(MambaOutError, ValueError):
    """A weight file is damaged, hostile, incomplete or made for another model."""


class WeightsUnavailable(MambaOutError, RuntimeError):
    """The weights are not on this machine and could not be fetched."""


class ExplanationError(MambaOutError, ValueError):
    """An explanation that cannot be made for this model or picture."""
