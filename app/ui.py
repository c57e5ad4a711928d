"""The page as a whole: built here, launched by `app.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from app import controls, gradio_words, link, markup, models_tab, text
from app.api.endpoints import public_interface
from app.api.tools import tools_offered
from app.blocks import PageBlocks
from app.compare import tab as compare_tab
from app.events import PRIVATE
from app.folder import tab as folder_tab
from app.language import label, page_words
from app.lens import tab as lens_tab
from app.limits import local_hosts, middleware
from app.long import tab as long_tab
from app.mixing import tab as mixing_tab
from app.page import Page
from app.store import ModelStore
from app.theme import theme
from app.visitor_language import VisitorLanguage

# In the order they stand on the page; the first one is in front when it opens.
TABS = (
    compare_tab.TAB,
    lens_tab.TAB,
    mixing_tab.TAB,
    folder_tab.TAB,
    long_tab.TAB,
    models_tab.TAB,
)

_HERE = Path(__file__).parent
_STREAM = (_HERE / "answers_stream.js").read_text(encoding="utf-8")
QUEUE_SIZE = 32
_SESSIONS = 200  # visitors whose result is kept at the same time, about 3 MB of arrays each
_SWEEP_SECONDS, _PICTURE_SECONDS = 3600, 4 * 3600


def build_demo(store: ModelStore) -> gr.Blocks:
    """The whole page. Loads no model and asks no network."""
    demo: gr.Blocks
    with PageBlocks(
        title=text.TITLE,
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(_SWEEP_SECONDS, _PICTURE_SECONDS),
    ) as demo:
        head = gr.HTML(markup.head(), label=label("About this page"))
        active = gr.State(TABS[0].id)
        with gr.Row(elem_classes="mo-page"):
            parts = controls.controls(store)
            page = Page(demo, store, parts, active, controls.triggers(parts))
            controls.linked(page)
            with (
                gr.Column(scale=1, min_width=320, elem_classes="mo-results"),
                gr.Tabs(overflow_behavior="wrap") as page.tabs,
            ):
                for tab in TABS:
                    classes = ["mo-alone"] if tab.alone else []
                    with gr.Tab(label(tab.title), id=tab.id, elem_classes=classes) as panel:
                        page.tab = (tab.id, panel)
                        page.panels.append(page.tab)
                        tab.build(page)
        link.bind(page)
        controls.bind(page)
        demo.load(markup.head, outputs=head, show_progress="hidden", **PRIVATE)
        public_interface(store)
    demo.queue(max_size=QUEUE_SIZE)
    return demo


def launch_kwargs(host: str | None = None) -> dict[str, Any]:
    """Everything that `launch` is given, in production and in tests.

    Args:
        host: the address to listen on; None for what gradio makes of it.
    """
    return {
        "server_name": host,
        "theme": theme(),
        "css_paths": [_HERE / "page.css", *sorted(_HERE.glob("*/*.css"))],
        "footer_links": ["api", "settings"],
        "mcp_server": tools_offered(),
        "run_history": False,
        "max_file_size": "20mb",
        "state_session_capacity": _SESSIONS,
        "i18n": page_words(),
        "js": gradio_words.script(),
        "head": f"<script>{_STREAM}</script>",
        "app_kwargs": {"middleware": [*middleware(local_hosts(host)), Middleware(VisitorLanguage)]},
    }
