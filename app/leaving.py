"""Whether the program that asked for the answer being made still waits for it."""

from __future__ import annotations

from gradio.context import LocalContext

from app.background import Abandoned


def still_awaited(done: int = 0, total: int | None = None) -> None:  # noqa: ARG001
    """Report progress to nobody, and end the work where its caller hung up.

    Gradio marks the event of a caller whose connection is gone, but only a generator is ended by
    that: a plain function, which is what programs call, has to look for itself. In the process of a
    lent GPU there is no event to look at: there, the work goes on to its end.

    Raises:
        Abandoned: nobody reads the answer any more.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if blocks is None or event_id is None:
        return
    event = blocks._queue.event_ids_to_events.get(event_id)  # noqa: SLF001 - no public way
    if event is None or not event.alive:
        raise Abandoned
