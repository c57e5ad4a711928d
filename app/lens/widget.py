"""The lens as a component: its value goes to `lens.js`, and nothing of it into a template."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent


def token_lens(elem_id: str, label: str) -> gr.HTML:
    """Linked panes over one picture.

    Its value is what `app.lens.payload.whole` gives: a string. Its `select` event asks for the
    weights of a place of the picture that have not been sent; ``index`` is the place, in shares of
    the picture's width and height.
    """
    return gr.HTML(
        html_template=(_HERE / "lens.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "lens.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
        label=label,
    )
