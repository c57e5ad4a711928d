"""Gradio's Blocks, as this page needs them."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import LocalContext


class PageBlocks(gr.Blocks):
    """Blocks whose components know who asks from the beginning, and keep the ids they have.

    Gradio makes the request known when the handler is called. What a component refuses before, such
    as a file that is no picture, would be told in English.

    An update makes a new component in the visitor's session, with a new id, in the place of the old
    one. When the component is an input the next time, gradio takes it for one that is not in the
    session, and adds it under that id: every question would leave a score of components behind.

    Every call of a program is a session of its own. Gradio keeps the mailboxes of the last 2,000,
    with the answers that nobody fetched. Here, one goes with the state of its session, which is
    when `state_session_capacity` others came after it.
    """

    async def process_api(
        self,
        block_fn: Any,
        inputs: list[Any],
        state: Any = None,
        request: Any = None,
        *given: Any,
        **options: Any,
    ) -> dict[str, Any]:
        """As in gradio, with the request known, the ids kept and old mailboxes gone."""
        LocalContext.request.set(request)
        try:
            return await super().process_api(block_fn, inputs, state, request, *given, **options)
        finally:
            if state is not None:
                for place, block in state.blocks_config.blocks.items():
                    block._id = place  # noqa: SLF001 - no public way
            self._drop_mailboxes()

    def _drop_mailboxes(self) -> None:
        """Forget what sessions were told that have no state any more, and wait for nothing."""
        queue = self._queue
        alive = {event.session_hash for event in queue.event_ids_to_events.values()}
        alive.update(self.state_holder.session_data)
        for mailboxes in (queue.pending_messages_per_session, queue.pending_event_ids_session):
            for session in mailboxes.keys() - alive:
                del mailboxes[session]
