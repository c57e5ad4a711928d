"""Choosers whose choices come with an answer: layers, scan paths, classes.

What the browser sends is what was chosen when it asked. By the time that is answered, another
answer may have brought other choices, of another model; gradio would refuse the value as not among
them. The handlers take what a model has, and its own where it has not.
"""

from __future__ import annotations

from typing import Any

import gradio as gr


class LateDropdown(gr.Dropdown):
    """A dropdown that hands on what was chosen, also after its choices have changed."""

    is_template = True  # the browser shows it as the Dropdown it is

    def preprocess(self, payload: Any) -> str | None:
        return payload if isinstance(payload, str) else None


class LateRadio(gr.Radio):
    """The same with radio buttons."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        return payload if isinstance(payload, str) else None
