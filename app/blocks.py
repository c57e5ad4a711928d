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
        """As in gradio, with the request known and the ids kept."""
        LocalContext.request.set(request)
        try:
            return await super().process_api(block_fn, inputs, state, request, *given, **options)
        finally:
            if state is not None:
                for place, block in state.blocks_config.blocks.items():
                    block._id = place  # noqa: SLF001 - no public way
