"""Gradio's Blocks, as this page needs them."""

from __future__ import annotations

import copy
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

    What a handler leaves as it is, gradio builds anew as well. A question is answered in a dozen
    steps by over a hundred components: a second of computing, in which no other visitor is heard.
    Here, it is left alone.

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

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """As in gradio, for the outputs that change; the others are passed over."""
        outputs = block_fn.outputs
        by_output = isinstance(predictions, dict) and predictions.keys() <= set(outputs)
        if not (by_output and len(outputs) > 1):
            given: list[Any] = await super().postprocess_data(block_fn, predictions, state)
            return given
        told = {block: None if block.stateful else gr.skip() for block in outputs}
        changed = {block: new for block, new in predictions.items() if not _is_skip(new)}
        if changed:
            fewer = copy.copy(block_fn)
            fewer.outputs = [*changed]
            values = [*changed.values()]
            made = await super().postprocess_data(
                fewer, values if len(values) > 1 else values[0], state
            )
            told |= zip(changed, made, strict=True)
        return [told[block] for block in outputs]

    def _drop_mailboxes(self) -> None:
        """Forget what sessions were told that have no state any more, and wait for nothing."""
        queue = self._queue
        alive = {event.session_hash for event in queue.event_ids_to_events.values()}
        alive.update(self.state_holder.session_data)
        for mailboxes in (queue.pending_messages_per_session, queue.pending_event_ids_session):
            for session in mailboxes.keys() - alive:
                del mailboxes[session]


def _is_skip(new: Any) -> bool:
    return isinstance(new, dict) and new == gr.skip()
