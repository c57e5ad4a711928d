"""ZeroGPU of Hugging Face: a GPU that is lent for the time of one call.

There, the package `spaces` runs a decorated function in a process forked from the page's, and only
that process has a GPU. What it is given and what it answers is pickled on the way. So a whole
request is one such call: its inputs are pictures and words, its steps are pictures, arrays and
words, one by one as they come. Everything else, and everything where no GPU is to be had, runs on
the CPU. On any other machine nothing here does anything.

The function is a generator, which `spaces` streams; what it raises would arrive as a bare word, so
a failure is a step too. Models that the page holds when the GPU's process begins are in that
process as well; others it loads from their files, which are fetched before a GPU is asked for.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import gradio as gr

from app import text
from app.background import watched
from app.environment import gpu_is_lent
from app.language import language, speaking
from app.markup import escaped
from app.memory import NoDevice, ran_out
from app.store import ModelStore, moved_to, running_on
from mambaout.errors import MambaOutError, said_by

logger = logging.getLogger(__name__)

DEVICE = "cuda"  # the only one that is lent

# How long a call is expected to take [s]: it is ended after that, and a shorter one begins sooner.
ASK_SECONDS, TEST_SECONDS = 30, 60

Said = Callable[[str], Any]  # a step that only tells what is being done


@dataclass(frozen=True)
class _Failed:
    """The last step of a request that failed in the GPU's process."""

    sentence: str  # for the visitor; empty where the GPU's memory ran out


@dataclass(frozen=True, eq=False)
class _Task:
    """What may be asked of the GPU's process, which knows it by its place in `_tasks`."""

    work: Callable[..., Iterator[Any]]
    seconds: int


_tasks: list[_Task] = []


def status_line(words: str) -> dict[str, str]:
    """A step of a handler whose values go by the names of their places."""
    return {"status": escaped(words)}


def lent(
    store: ModelStore,
    work: Callable[..., Iterator[Any]],
    seconds: int = ASK_SECONDS,
    said: Said | None = status_line,
) -> Callable[..., Iterator[Any]]:
    """The same generator, run with a GPU where one is lent by the call; else `work` itself.

    Args:
        store: the models that `work` asks.
        work: a generator whose arguments and steps can be pickled.
        seconds: how long it is expected to take at most.
        said: makes a step that tells what is being done; None where nobody reads it.

    Raises:
        NoDevice: when it is run: no GPU was to be had, or its memory ran out.
    """
    if not gpu_is_lent():
        return work
    _tasks.append(_Task(work, seconds))
    number = len(_tasks) - 1
    on_gpu = _decorated()

    @functools.wraps(work)
    def run(*arguments: Any) -> Iterator[Any]:
        if moved_to() == "cpu":
            yield from work(*arguments)
            return
        for words in _fetched(store, arguments):
            if said is not None:
                yield said(words)
        try:
            for step in on_gpu(number, language(), arguments):
                if isinstance(step, _Failed):
                    raise MambaOutError(step.sentence) if step.sentence else NoDevice
                yield step
        except gr.Error as refused:
            logger.warning("the GPU was not lent, or was taken back: %s", refused.message)
            raise NoDevice from refused

    return run


def preload(store: ModelStore) -> None:
    """Load the models that are on this machine for the GPU: while the page starts, on its thread.

    `spaces` has `.to("cuda")` remembered on that thread, and only for what is moved before the page
    is launched the move is done ahead of the first call.
    """
    here = {card.name for card in store.cards() if card.weights.state == "cached"}
    with running_on(DEVICE):
        for name in (*store.default_pair, *sorted(here)):
            store.get(name)


@functools.cache
def _decorated() -> Callable[..., Iterator[Any]]:
    """One function for all tasks, so that they share a process, and the models it has loaded."""
    gpu = import_module("spaces").GPU
    decorated: Callable[..., Iterator[Any]] = gpu(duration=_seconds)(_on_gpu)
    return decorated


def _seconds(number: int, _language: str, _arguments: tuple[Any, ...]) -> int:
    return _tasks[number].seconds


def _on_gpu(number: int, tag: str, arguments: tuple[Any, ...]) -> Iterator[Any]:
    """A task's steps, in the GPU's process."""
    with speaking(tag), running_on(DEVICE):
        try:
            yield from _tasks[number].work(*arguments)
        except MambaOutError as error:
            yield _Failed(text.sentence(said_by(error)))
        except Exception as error:
            logger.exception("a request failed on the GPU")
            if not ran_out(error):
                raise
            yield _Failed("")


def _fetched(store: ModelStore, arguments: tuple[Any, ...]) -> Iterator[str]:
    """Download the weights of the models among the arguments, and say how far that is."""
    from mambaout.models import fetch_weights

    cards = {card.name: card for card in store.cards()}
    for card in [cards[name] for name in _words(arguments) if name in cards]:
        if card.weights.state == "available":
            try:
                for _, words in watched(
                    functools.partial(fetch_weights, card.name),
                    functools.partial(text.loading, card.title),
                    finish=True,
                ):
                    if words:
                        yield words
            except MambaOutError as reason:  # the request says it where the model is missed
                logger.warning("%s was not fetched: %s", card.name, reason)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _words(part)
