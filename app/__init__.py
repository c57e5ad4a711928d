"""The page: layout, handlers and everything else that knows gradio."""

from __future__ import annotations
