"""The lens as a component: its value goes to `lens.js`, and nothing of it into a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

_HERE = Path(__file__).parent


def token_lens(elem_id: str, label: str) -> gr.HTML:
    """Linked panes over one picture; its `select` event carries the place that was picked.

    Its value is what `app.lens.payload.whole` gives, or ``{"key", "rows"}`` with more rows for the
    panes that it shows under this key.
    """
    return _TokenLens(
        value=None,
        html_template=(_HERE / "lens.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "lens.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
        label=label,
    )


class _TokenLens(gr.HTML):
    """HTML whose value is no HTML."""

    def postprocess(self, value: Any) -> Any:
        return value

    def preprocess(self, payload: Any) -> Any:
        return None if payload is None else payload

    def api_info(self) -> dict[str, Any]:
        return {"type": "object"}

    def get_block_name(self) -> str:
        return "html"
