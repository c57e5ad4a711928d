"""How the page's events run, and how what goes wrong in one is told."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app import text
from app.arriving import once_here
from app.background import Abandoned
from app.gpu import lent
from app.language import tr
from app.memory import ran_out, sparing
from app.store import ModelStore
from mambaout.errors import MambaOutError, said_by

logger = logging.getLogger(__name__)

# No event of the page is part of an API.
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# Explaining and tracing take all cores of a small machine: two at once finish later, not sooner.
ONE_AT_A_TIME: dict[str, Any] = {
    **PRIVATE,
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "trigger_mode": "always_last",
}


def let_in(demo: gr.Blocks, at_once: int) -> None:
    """Change how many requests that ask a model are answered at the same time.

    Once the page is up, because finding out where models run takes longer than building it.
    """
    name = ONE_AT_A_TIME["concurrency_id"]
    for event in demo.fns.values():
        if event.concurrency_id == name:
            event.concurrency_limit = at_once
    queue = demo._queue.event_queue_per_concurrency_id.get(name)  # noqa: SLF001 - no public way
    if queue is not None:
        queue.concurrency_limit = at_once


def spoken(handler: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A handler whose every error is a sentence for the visitor."""

    # With its signature: gradio looks there for what it has to hand over beside the inputs.
    @functools.wraps(handler)
    def run(*inputs: Any) -> Iterator[Any]:
        try:
            yield from handler(*inputs)
        except gr.Error:
            raise
        except Abandoned as left:  # a program that hung up: this is for gradio's record alone
            raise gr.Error(str(left), print_exception=False) from left
        except MambaOutError as error:
            raise gr.Error(text.sentence(said_by(error)), print_exception=False) from error
        except Exception as error:
            logger.exception("a request failed")
            sentence = tr(text.NO_MEMORY) if ran_out(error) else tr(text.UNEXPECTED)
            raise gr.Error(sentence, print_exception=False) from error

    return run


def answering(store: ModelStore, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that asks a model, for programs: as patient and as clear as the page's events."""

    def once(*inputs: Any) -> Iterator[Any]:
        yield function(*inputs)

    asked = lent(store, once, said=None)

    @functools.wraps(function)
    def run(*inputs: Any) -> Any:
        *_, answer = spoken(sparing(store, once_here(asked)))(*inputs)
        return answer

    return run
