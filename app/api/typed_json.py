"""An output that says which JSON it gives: `gradio.JSON` says "any"."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.api.schema import schema_of


class TypedJSON(gr.JSON):
    """JSON of one of the types of `app.api.schema`.

    Args:
        kind: the type.
        label: its name.
    """

    is_template = True  # the browser knows it as the JSON it is

    def __init__(self, kind: Any, label: str) -> None:
        self.kind = kind
        super().__init__(label=label)

    def api_info(self) -> dict[str, Any]:
        """The schema, for clients."""
        return schema_of(self.kind)

    def get_config(self, cls: type[gr.blocks.Block] | None = None) -> dict[str, Any]:
        """As in gradio, without the type, which is no matter for the browser."""
        return super().get_config(cls or gr.JSON)
