"""The words of the page, in the language of the visitor.

Sentences are written in English where they are used, and translated when they are shown: on the
server where they are made there, in the browser where they are the words on a component. Both take
the language that `app.visitor_language` has found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import gradio as gr
from gradio.context import LocalContext

from app.catalogues import LANGUAGES, SOURCE, catalogue
from mambaout.errors import Sentence

_CHOSEN: ContextVar[str | None] = ContextVar("language", default=None)
_ON_COMPONENTS: dict[str, None] = {}  # a set that keeps its order
_PREFIX = "mambaout/"  # gradio's own messages have short names, which a plain label may be too


def language() -> str:
    """The language of the visitor whose request is being answered; English outside of one."""
    chosen = _CHOSEN.get()
    if chosen is not None:
        return chosen
    request = LocalContext.request.get(None)
    headers = getattr(request, "headers", None) or {}
    tag = headers.get("accept-language", "")  # of one language: `app.visitor_language` saw to it
    return tag if tag in LANGUAGES else SOURCE


@contextmanager
def speaking(tag: str) -> Iterator[None]:
    """Translate into this language, whoever asks: in threads and tests, which have no request."""
    token = _CHOSEN.set(tag)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def tr(message: str, **values: object) -> str:
    """A sentence with its values: ``tr("{done} of {total}", done=3, total=5)``.

    Args:
        message: the English sentence, with named places in braces.
        **values: what is put there, ready to be shown.
    """
    translated = catalogue(language()).one(message)
    return translated.format(**values) if values else translated


def told(sentence: str) -> str:
    """A sentence that the library made, in the language of the visitor; English if not known."""
    if not isinstance(sentence, Sentence):
        return tr(sentence)
    values = {k: told(v) if isinstance(v, str) else v for k, v in sentence.values.items()}
    return tr(sentence.template, **values)


def ntr(one: str, many: str, count: int, **values: object) -> str:
    """A sentence in the singular or the plural; its place "{count}" is filled with ``count``.

    Args:
        one: the English sentence for one.
        many: that for any other number.
        count: decides, by the rule of the visitor's language.
        **values: as for `tr`.
    """
    translated = catalogue(language()).of_number(one, many, count)
    return translated.format(count=count, **values)


def label(message: str) -> str:
    """The words on a component: a tab, a button, a choice. The browser translates them."""
    _ON_COMPONENTS[message] = None
    return str(gr.I18n()(_PREFIX + message))


def noted(message: str) -> str:
    """Marks a constant that `tr` or `label` translates where it is shown, as gettext's ``N_``."""
    return message


# What gradio 6.31 has in no language (it would read out its own name for it), or in English only.
_GRADIO_LACKS = {
    "common.upload": noted("Add files"),
    "status.queue_position": noted("In queue: {position} of {size}"),
}


def page_words() -> gr.I18n:
    """The words of all components built so far, for ``launch(i18n=...)``."""
    return gr.I18n(
        **{
            tag: {_PREFIX + message: catalogue(tag).one(message) for message in _ON_COMPONENTS}
            | {name: catalogue(tag).one(message) for name, message in _GRADIO_LACKS.items()}
            for tag in LANGUAGES
        }
    )
