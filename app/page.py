"""What the tabs of the page share: the models, the controls beside them, and when to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.arriving import once_here
from app.events import ONE_AT_A_TIME, PRIVATE, spoken
from app.front import Fronts
from app.memory import sparing
from app.store import ModelStore

Components = dict[str, Any]  # by name; gradio's components share no useful type
Updates = dict[Any, Any]  # new values, by component
Handler = Callable[..., Iterator[Updates]]


@dataclass(frozen=True)
class Tab:
    """One tab: what it is called, and what puts its components on the page and binds them.

    Attributes:
        id: its name in links.
        title: its name on the page.
        build: called once, where the tab's components belong.
        alone: the picture and the models chosen beside the tabs do not concern it.
    """

    id: str
    title: str
    build: Callable[[Page], None]
    alone: bool = False


@dataclass(frozen=True, eq=False)
class _Asked:
    """What answers in one tab."""

    tab: str
    handler: Handler
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    status: gr.HTML


@dataclass(eq=False)
class Page:
    """The page while it is built.

    Attributes:
        demo: gradio's page.
        store: the models.
        controls: what is chosen beside the tabs: "picture", "left", "right", "mixing", "run", ….
        active: holds the id of the tab that is asked: the last one in front of those that answer.
        tab: the gradio tab that is being built, and its id.
        tabs: all of them; who updates what is selected brings one to the front.
        triggers: gradio's listeners to whatever asks the tab in front for an answer.
        panels: all tabs with their ids, in order.
        options: what a link can hold, by its name there; see `app.link.Option`.
        heavy: the events that ask a model, which "Stop" ends.
        status: the status line of each tab that has one.
        fronts: which tab each visitor has in front.
    """

    demo: gr.Blocks
    store: ModelStore
    controls: Components
    active: gr.State
    triggers: list[Callable[..., Any]]
    tab: tuple[str, gr.Tab] | None = None
    tabs: gr.Tabs | None = None
    panels: list[tuple[str, gr.Tab]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    heavy: list[Any] = field(default_factory=list)
    status: list[gr.HTML] = field(default_factory=list)
    fronts: Fronts = field(default_factory=Fronts)
    _asked: list[_Asked] = field(default_factory=list)

    def asked(
        self, handler: Handler, inputs: Sequence[Any], outputs: Sequence[Any], status: gr.HTML
    ) -> None:
        """Have `handler` answer whenever the visitor asks while the tab being built is in front.

        That is when a picture or a mixing is chosen, when the button is pressed, and when the tab
        comes to the front, as it does when the page opens. `handler` is a generator of updates,
        called with the values of `inputs`; a `MambaOutError` that it raises is shown as its
        sentence. It ends at its next step when another tab comes to the front, and is run anew
        when this one does.
        """
        if self.tab is None:
            raise ValueError("no tab is being built")
        own, tab = self.tab
        self._asked.append(_Asked(own, handler, tuple(inputs), tuple(outputs), status))
        turned = gr.State(False)
        # Filled in by the browser: the page has been opened, and its link read.
        ready = gr.Checkbox(visible=False, label="ready")

        def turn(active: str, ready: bool) -> tuple[Any, bool]:
            # The first tab is also selected when the page opens, whatever its link will select;
            # that may have been done by the time this ends, so nothing is written back.
            if not ready and own == self.panels[0][0]:
                return gr.skip(), False
            ended = self.fronts.bring(own)
            return own, ended or active != own

        def came_to_front(newly: bool, *values: Any) -> Iterator[Updates]:
            # A generator that ends without a value would empty all its outputs.
            yield {status: gr.skip()}
            if newly:
                yield from handler(*values)

        selected = tab.select(
            turn, [self.active, ready], [self.active, turned], queue=False,
            js="(active, _ready) => [active, Boolean(window.mambaoutLink)]", **PRIVATE,
        )  # fmt: skip
        self.asks_model(selected.then, came_to_front, [turned, *inputs], outputs, status)

    def bind_asked(self) -> None:
        """Bind what was `asked` for, once all tabs are built.

        One event for each trigger, whatever the number of tabs: the browser would begin several
        one after the other, and "Stop" would end some of them before they have a name.
        """
        inputs = list(dict.fromkeys(part for asked in self._asked for part in asked.inputs))
        outputs = list(dict.fromkeys(part for asked in self._asked for part in asked.outputs))

        def in_front(active: str, *values: Any) -> Iterator[Updates]:
            given = dict(zip(inputs, values, strict=True))
            for asked in self._asked:
                yield {asked.status: gr.skip()}
                if asked.tab == active:
                    handler = once_here(asked.handler, asked.status)
                    answer = sparing(self.store, handler, asked.status)
                    yield from self._while_there(asked.tab, answer, asked.status)(
                        *(given[part] for part in asked.inputs)
                    )

        lines = [asked.status for asked in self._asked]
        for listen in self.triggers:
            self._bind(listen, in_front, [self.active, *inputs], outputs, lines)
        for name, panel in self.panels:
            if not self._answers(name):
                self._left_for(name, panel)

    def asks_model(
        self,
        listen: Callable[..., Any],
        handler: Handler,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        status: gr.HTML,
    ) -> None:
        """Bind a handler that asks a model: one at a time, and "Stop" ends it.

        So does leaving a tab that answers by itself when it comes back (`asked`, called before);
        elsewhere work that was begun with a button goes on behind the other tabs.
        """
        told = status if status in outputs else None
        answer = sparing(self.store, once_here(handler, told), told)
        if self.tab is not None and self._answers(self.tab[0]):
            answer = self._while_there(self.tab[0], answer, status)
        self._bind(listen, answer, inputs, outputs, [status])

    def _answers(self, tab: str) -> bool:
        return any(asked.tab == tab for asked in self._asked)

    def _while_there(self, tab: str, handler: Handler, status: gr.HTML) -> Handler:
        return self.fronts.while_there(tab, handler, {status: gr.skip()})

    def _left_for(self, name: str, panel: gr.Tab) -> None:
        """Hear that a tab that does not answer by itself comes to the front."""

        def came() -> None:
            self.fronts.bring(name)

        panel.select(came, queue=False, **PRIVATE)

    def _bind(
        self,
        listen: Callable[..., Any],
        handler: Handler,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        lines: Sequence[gr.HTML],
    ) -> None:
        event = listen(
            spoken(handler), [*inputs], [*outputs], show_progress_on=[*lines], **ONE_AT_A_TIME
        )
        self.heavy.append(event)
        self.status += [line for line in lines if line not in self.status]
