"""Translations, read from gettext's own kind of file: ``locale/<language>.po``."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from gettext import c2py
from pathlib import Path

SOURCE = "en"
LANGUAGES = {"en": "English", "fr": "Français", "zh-CN": "简体中文", "zh-TW": "繁體中文"}
"""Tag -> what the language calls itself."""

FOLDER = Path(__file__).with_name("locale")


@dataclass(frozen=True)
class Catalogue:
    """The messages of one language.

    Attributes:
        messages: English, the singular one where there are two -> its translations: one, or one
            for each plural form.
        plurals: English singular -> English plural, where there are two.
        form: which of the plural forms belongs to a number.
    """

    messages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    plurals: dict[str, str] = field(default_factory=dict)
    form: Callable[[int], int] = lambda count: int(count != 1)

    def one(self, message: str) -> str:
        """The translation of a sentence; itself where there is none."""
        return self.messages.get(message, (message,))[0]

    def of_number(self, one: str, many: str, count: int) -> str:
        """The translation of a sentence whose form depends on a number."""
        forms = self.messages.get(one, (one, many))
        return forms[min(self.form(count), len(forms) - 1)]


@cache
def catalogue(tag: str) -> Catalogue:
    """The translations into a language; none into English, which the messages are in.

    Raises:
        ValueError: the file is damaged; the text names the line.
    """
    return Catalogue() if tag == SOURCE else read_po(FOLDER / f"{tag}.po")


def read_po(path: Path) -> Catalogue:
    """A file of translations as gettext's tools write them, less what this page has no use for.

    Understood are comments, ``msgid``, ``msgid_plural``, ``msgstr`` and ``msgstr[n]``; no contexts.

    Raises:
        ValueError: the file holds something else; the text names the line.
    """
    messages: dict[str, tuple[str, ...]] = {}
    plurals: dict[str, str] = {}
    header = ""
    for entry in _entries(path):
        source = entry.pop("msgid", "")
        plural = entry.pop("msgid_plural", None)
        translations = tuple(entry[name] for name in sorted(entry))
        if not source:
            header = "".join(translations)
            continue
        if plural is not None:
            plurals[source] = plural
        messages[source] = translations
    rule = re.search(r"plural=([^;\n]+)", header)
    return Catalogue(messages, plurals, c2py(rule.group(1)) if rule else Catalogue.form)


def _entries(path: Path) -> Iterator[dict[str, str]]:
    """Keyword -> text, entry by entry; a line in quotes goes on with the text before it."""
    entry: dict[str, str] = {}
    keyword = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        found = re.fullmatch(r'(?:(msgid|msgid_plural|msgstr(?:\[\d\])?)\s+)?(".*")', words)
        if found is None:
            raise ValueError(f"{path}, line {number}: expected a msgid or msgstr, got {words[:60]}")
        if found.group(1):
            keyword = found.group(1)
            if keyword == "msgid" and entry:
                yield entry
                entry = {}
        entry[keyword] = entry.get(keyword, "") + ast.literal_eval(found.group(2))
    if entry:
        yield entry
