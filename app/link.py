"""The permanent link: what was chosen, in the query string, and chosen again when it is opened.

It holds no picture; of the examples, the number of one. What a link may say is a list for every
option: whatever else it says is passed over, and the page says so.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.events import PRIVATE
from app.examples import examples
from app.language import label, noted, tr
from app.link_readers import Read, one_of, whole
from app.markup import escaped
from app.page import Page, Updates
from app.places import keep

VERSION = "1"
LEFT_OUT = noted("The link asks for what is not on offer here; this part was left out: {names}.")

_SCRIPT = Path(__file__).with_name("link.js").read_text(encoding="utf-8")
_SPACE = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Option:
    """One option of the page that a link can hold.

    Attributes:
        component: what it is chosen with.
        read: what the words in a link mean; None if they mean nothing.
        show: puts a value into the component.
    """

    component: Any
    read: Read
    show: Callable[[Any], Any] = keep


def only_choice(value: str) -> gr.Dropdown:
    """Shows a choice whose others come with the answer."""
    return gr.Dropdown(choices=[value], value=value)


def restored(query: Mapping[str, str], options: Mapping[str, Option]) -> Updates:
    """What a link asks for, by component; nothing for what it does not say or may not."""
    if query.get("v") != VERSION:
        return {}
    found: Updates = {}
    for key, option in options.items():
        value = option.read(query[key]) if key in query else None
        if value is not None:
            found[option.component] = option.show(value)
    return found


def passed_over(query: Mapping[str, str], options: Mapping[str, Option]) -> list[str]:
    """What a link says and may not, by its names there."""
    if "v" in query and query["v"] != VERSION:
        return ["v"]
    if "v" not in query:
        return []
    return [key for key, option in options.items()
            if key in query and option.read(query[key]) is None]  # fmt: skip


def bind(page: Page) -> None:
    """Open links and write them, once all tabs are built, before what stops their events."""
    options, active, picture = page.options, page.active, page.controls["picture"]
    tabs = [tab for tab, _ in page.panels]
    pictures = examples()
    said = page.controls["link_status"]
    # Chosen without a component of their own.
    others = {
        "ex": Option(picture, whole(0, len(pictures) - 1), lambda index: pictures[index].open()),
        "tab": Option(active, one_of(tabs)),
    }

    def open_link(request: gr.Request) -> Updates:
        query, every = dict(request.query_params), {**options, **others}
        updates = restored(query, every)
        if active in updates:
            page.fronts.bring(updates[active])
        names = passed_over(query, every)
        if names:
            updates[said] = _said(tr(LEFT_OUT, names=", ".join(names)))
        return {active: gr.skip()} | updates

    components = [option.component for option in options.values()]
    opened = page.demo.load(
        open_link, None, [active, picture, said, *components], show_progress="hidden", **PRIVATE
    ).then(
        lambda tab: gr.Tabs(selected=tab), active, page.tabs, js=_opening(page, tabs),
        show_progress="hidden", queue=False, **PRIVATE,
    )  # fmt: skip
    page.triggers.append(opened.then)
    write = "(...values) => { window.mambaoutLink?.write(values); }"
    gr.on(
        [component.change for component in components], None, components, js=write,
        show_progress="hidden", queue=False,
        trigger_mode="multiple",  # an answer changes several at once: the last one counts too
        **PRIVATE,
    )  # fmt: skip
    for name, panel in page.panels:
        _remembered(panel.select, components, "tab", json.dumps(name))
    _remembered(picture.upload, components, "example", "0")
    if "examples" in page.controls:  # whose own script has remembered which
        page.controls["examples"].select(
            None, components, js=write, show_progress="hidden", queue=False, **PRIVATE
        )
    _copying(page, components)


def _opening(page: Page, tabs: list[str]) -> str:
    """Makes what writes links, in the browser."""
    space = os.environ.get("SPACE_ID", "")
    facts = {
        "keys": list(page.options),
        "defaults": [_words(option.component.value) for option in page.options.values()],
        "tabs": tabs,
        "space": space if _SPACE.fullmatch(space) else None,
    }
    return f"(tab) => {{ const LINK = {json.dumps(facts)};\n{_SCRIPT}\nreturn tab; }}"


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _remembered(listen: Callable[..., Any], components: list[Any], name: str, value: str) -> None:
    """What is chosen without a component that says so."""
    script = (
        "(...values) => { const link = window.mambaoutLink;"
        f" if (link) {{ link.{name} = {value}; link.write(values); }} }}"
    )
    listen(None, components, js=script, show_progress="hidden", queue=False, **PRIVATE)


def _said(words: str) -> gr.HTML:
    return gr.HTML(f"<p>{escaped(words)}</p>", visible=True)


def _copying(page: Page, components: list[Any]) -> None:
    """The button, and what it says when it was pressed."""
    said = page.controls["link_status"]
    # Holds an address that could not be copied: browsers allow it on secure pages only.
    address = gr.Textbox(visible=False, label=label("Copy link"))

    def say(address: str, *_values: Any) -> gr.HTML:
        words = tr("Copy this link: {address}", address=address) if address else tr("Link copied.")
        return _said(words)

    page.controls["copy"].click(
        say, [address, *components], said, show_progress="hidden", queue=False,
        js="(_address, ...values) => window.mambaoutLink.copy(values)", **PRIVATE,
    )  # fmt: skip
