"""The permanent link: what was chosen, in the query string, and chosen again when it is opened.

It holds no picture; of the examples, the number of one. What a link may say is a list for every
option: whatever else it says is passed over, as if it had not been said.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.events import PRIVATE
from app.examples import examples
from app.language import label, tr
from app.markup import escaped
from app.page import Page, Updates
from app.places import keep

VERSION = "1"
Read = Callable[[str], Any]  # a value that may be chosen, or None

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


def one_of(allowed: Collection[str]) -> Read:
    """A choice among names."""
    return lambda words: words if words in allowed else None


def some_of(allowed: Collection[str]) -> Read:
    """Any number of names, with commas between them."""

    def read(words: str) -> list[str] | None:
        names = words.split(",")
        return names if set(names) <= set(allowed) and len(set(names)) == len(names) else None

    return read


def whole(least: int, greatest: int) -> Read:
    """A whole number within bounds."""

    def read(words: str) -> int | None:
        # Not isdigit, which has digits that int() does not know.
        if not re.fullmatch(r"[0-9]{1,6}", words):
            return None
        return int(words) if least <= int(words) <= greatest else None

    return read


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


def bind(page: Page) -> None:
    """Open links and write them, once all tabs are built, before what stops their events."""
    options, active, picture = page.options, page.active, page.controls["picture"]
    tabs = [tab for tab, _ in page.panels]
    pictures = examples()
    example_of, tab_of = whole(0, len(pictures) - 1), one_of(tabs)

    def open_link(request: gr.Request) -> Updates:
        query = dict(request.query_params)
        updates = restored(query, options)
        if query.get("v") == VERSION:
            example, tab = example_of(query.get("ex", "")), tab_of(query.get("tab", ""))
            if example is not None:
                updates[picture] = pictures[example].open()
            if tab is not None:
                updates[active] = tab
                page.fronts.bring(tab)
        return {active: gr.skip()} | updates

    components = [option.component for option in options.values()]
    opened = page.demo.load(
        open_link, None, [active, picture, *components], show_progress="hidden", **PRIVATE
    ).then(
        lambda tab: gr.Tabs(selected=tab), active, page.tabs, js=_opening(page, tabs),
        show_progress="hidden", queue=False, **PRIVATE,
    )  # fmt: skip
    page.triggers.append(opened.then)
    write = "(...values) => { window.mambaoutLink?.write(values); }"
    gr.on(
        [component.change for component in components], None, components, js=write,
        show_progress="hidden", queue=False, **PRIVATE,
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


def _copying(page: Page, components: list[Any]) -> None:
    """The button, and what it says when it was pressed."""
    said = page.controls["link_status"]
    # Holds an address that could not be copied: browsers allow it on secure pages only.
    address = gr.Textbox(visible=False, label=label("Copy link"))

    def say(address: str, *_values: Any) -> gr.HTML:
        words = tr("Copy this link: {address}", address=address) if address else tr("Link copied.")
        return gr.HTML(f"<p>{escaped(words)}</p>", visible=True)

    page.controls["copy"].click(
        say, [address, *components], said, show_progress="hidden", queue=False,
        js="(_address, ...values) => window.mambaoutLink.copy(values)", **PRIVATE,
    )  # fmt: skip
