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

    @classmethod
    def joined(cls, *sentences: str) -> Sentence:
        """Several sentences as one, each still translated by itself; empty ones are left out."""
        parts = {f"part{i}": part for i, part in enumerate(filter(None, sentences))}
        return cls(" ".join(f"{{{name}}}" for name in parts), **parts)


class MambaOutError(Exception):
    """Base of every error raised on purpose; its text may be shown to a user as it is.

    Where a user of another language can meet it, it is made of a `Sentence`.
    """


def said_by(error: Exception) -> str:
    """What an error says: the `Sentence` that it was made of, which ``str`` would flatten."""
    made_of = error.args[0] if len(error.args) == 1 else None
    return made_of if isinstance(made_of, Sentence) else str(error)


class CheckpointError(MambaOutError, ValueError):
    """A weight file is damaged, hostile, incomplete or made for another model."""


class WeightsUnavailable(MambaOutError, RuntimeError):
    """The weights are not on this machine and could not be fetched."""


class ExplanationError(MambaOutError, ValueError):
    """An explanation that cannot be made for this model or picture."""
