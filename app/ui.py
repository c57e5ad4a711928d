"""The page as a whole: built here, launched by `app.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import layout, markup, text, wiring
from app.limits import local_hosts, middleware
from app.store import ModelStore
from app.theme import theme

_QUEUE_SIZE = 32
_SESSIONS = 200  # visitors whose result is kept at the same time, about 3 MB of arrays each
_SWEEP_SECONDS, _PICTURE_SECONDS = 3600, 4 * 3600


def build_demo(store: ModelStore) -> gr.Blocks:
    """The whole page. Loads no model and asks no network."""
    demo: gr.Blocks
    with gr.Blocks(
        title=text.TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(_SWEEP_SECONDS, _PICTURE_SECONDS),
    ) as demo:
        gr.HTML(markup.head(), label="About this page")
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Compare", id="compare"), gr.Row(elem_classes="mo-page"):
                controls = layout.controls(store)
                places = layout.results()
            with gr.Tab("Models", id="models"):
                gr.HTML(
                    markup.section(text.MODELS_HEADING, text.MODELS_HELP),
                    label="Models",
                    elem_id="models-heading",
                )
                table = gr.HTML(label="Models on offer", elem_id="models-table")
        wiring.comparing(demo, store, controls, places)
        wiring.redrawing(places)
        wiring.choosing(demo, store, controls, table)
    demo.queue(max_size=_QUEUE_SIZE)
    return demo


def launch_kwargs(host: str | None = None) -> dict[str, Any]:
    """Everything that `launch` is given, in production and in tests.

    Args:
        host: the address to listen on; None for what gradio makes of it.
    """
    return {
        "server_name": host,
        "theme": theme(),
        "css_paths": Path(__file__).with_name("page.css"),
        "footer_links": ["settings"],
        "run_history": False,
        "max_file_size": "20mb",
        "state_session_capacity": _SESSIONS,
        "app_kwargs": {"middleware": middleware(local_hosts(host))},
    }
