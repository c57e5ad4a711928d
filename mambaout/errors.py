"""What can go wrong, as one tree.

MambaOutError
├── CheckpointError      a weight file is damaged, hostile, incomplete or made for another model
├── WeightsUnavailable   the weights are not on this machine and could not be fetched
└── ExplanationError     a model or a picture that an explanation cannot be made for
"""

from __future__ import annotations

from typing import Any


class Sentence(str):
    """A sentence for people that remembers what it was made of, for who has to translate it.

    Args:
        template: in English, with named places in braces.
        **values: what is put there, as it is to be shown.
    """

    __slots__ = ("template", "values")
    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> Sentence:
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (self.template,), self.values


class MambaOutError(Exception):
    """Base of every error raised on purpose; its text may be shown to a user as it is."""


class CheckpointError(MambaOutError, ValueError):
    """A weight file is damaged, hostile, incomplete or made for another model."""


class WeightsUnavailable(MambaOutError, RuntimeError):
    """The weights are not on this machine and could not be fetched."""


class ExplanationError(MambaOutError, ValueError):
    """An explanation that cannot be made for this model or picture."""
