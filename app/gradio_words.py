"""Names and titles that gradio 6.31 has in English only, said in the visitor's language.

They stand in its scripts, not among the words that ``launch(i18n=...)`` may give: names of buttons
and sliders for screen readers, and the titles of toasts, for which it passes over the title that an
error brings. So they are replaced where they appear in the page.
"""

from __future__ import annotations

import json
from pathlib import Path

from app.catalogues import LANGUAGES, SOURCE, catalogue
from app.language import noted

WORDS = (
    noted("Error"),
    noted("Warning"),
    noted("Close"),
    noted("Remove Image"),
    noted("Remove this file"),
    noted("Upload file"),
    noted("Capture from camera"),
    noted("Paste from clipboard"),
    noted("Click to upload or drop files"),
    noted("Reset to default value"),
    noted("number input for {label}"),
    noted("range slider for {label}"),
    noted("File(s) exceed the maximum allowed size of {label}"),
)

_SCRIPT = Path(__file__).with_name("gradio_words.js").read_text(encoding="utf-8")


def script() -> str:
    """For ``launch(js=...)``."""
    words = {
        tag: {word: catalogue(tag).one(word) for word in WORDS}
        for tag in LANGUAGES
        if tag != SOURCE
    }
    return _SCRIPT.replace("WORDS[", f"{json.dumps(words)}[", 1)
