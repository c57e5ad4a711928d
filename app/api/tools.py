"""The public endpoints as tools of language models (Model Context Protocol)."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version

logger = logging.getLogger(__name__)

_SPOKEN = "1"  # the major version of the package `mcp` that gradio 6 is written for


def tools_offered() -> bool:
    """Whether every public endpoint is a tool too: where the package `mcp` is there, and fits."""
    try:
        found = version("mcp")
    except PackageNotFoundError:
        return False
    if found.partition(".")[0] != _SPOKEN:
        logger.warning(
            "The package mcp is here in version %s, and gradio speaks version 1 of it: the page "
            "starts without tools for language models. They come with: pip install 'mcp<2'",
            found,
        )
        return False
    return True
