"""The words of the page, in the language of the visitor."""

from __future__ import annotations


def tr(message: str, **values: object) -> str:
    """A sentence with its values: ``tr("{done} of {total}", done=3, total=5)``.

    Args:
        message: the English sentence, with named places in braces.
        **values: what is put there, ready to be shown.
    """
    return message.format(**values) if values else message


def label(message: str) -> str:
    """The words on a component: a tab, a button, a choice."""
    return message


def noted(message: str) -> str:
    """Marks a constant that `tr` translates where it is shown, as gettext's ``N_`` does."""
    return message
