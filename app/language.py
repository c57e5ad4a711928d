"""The words of the page, in the language of the visitor."""

from __future__ import annotations


def tr(message: str, **values: object) -> str:
    """A sentence with its values: ``tr("{done} of {total}", done=3, total=5)``.

    Args:
        message: the English sentence, with named places in braces.
        **values: what is put there, ready to be shown.
    """
    return message.format(**values) if values else message


def ntr(one: str, many: str, count: int, **values: object) -> str:
    """A sentence in the singular or the plural; its place "{count}" is filled with ``count``.

    Args:
        one: the English sentence for one.
        many: that for any other number.
        count: decides.
        **values: as for `tr`.
    """
    return (one if count == 1 else many).format(count=count, **values)


def label(message: str) -> str:
    """The words on a component: a tab, a button, a choice."""
    return message


def noted(message: str) -> str:
    """Marks a constant that `tr` translates where it is shown, as gettext's ``N_`` does."""
    return message
