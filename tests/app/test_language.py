"""Words in the visitor's language, with values in them."""

from __future__ import annotations

import importlib.util
import re
import string
import threading
from contextvars import copy_context
from pathlib import Path

import pytest

from app.catalogues import FOLDER, LANGUAGES, SOURCE, catalogue, read_po
from app.language import label, language, ntr, page_words, speaking, tr

OTHERS = [tag for tag in LANGUAGES if tag != SOURCE]


SOMEBODYS = r"""# somebody
msgid ""
msgstr ""
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2);\n"

#: app/x.py
msgid "a "
"\"b\""
msgstr "c\n"
"d"

msgid "one"
msgid_plural "many"
msgstr[0] "1"
msgstr[1] "2"
msgstr[2] "5"
"""


def source_messages():
    path = Path(__file__).with_name("messages.py")
    spec = importlib.util.spec_from_file_location("messages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.messages()


MESSAGES = source_messages()


def places(message):
    return sorted(name for _, name, _, _ in string.Formatter().parse(message) if name is not None)


def test_values_are_put_in_their_places():
    assert tr("{done} of {total}", total=5, done=3) == "3 of 5"


def test_braces_without_values_are_left_alone():
    assert tr("a set {1, 2}") == "a set {1, 2}"


def test_a_missing_value_is_an_error():
    with pytest.raises(KeyError):
        tr("{done} of {total}", done=3)


def test_outside_of_a_request_everybody_speaks_english():
    assert language() == "en"
    assert tr("Stop") == "Stop"


def test_a_language_is_spoken_until_it_is_not_also_in_threads():
    heard = []
    with speaking("fr"):
        assert tr("Stop") == "Arrêter"
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: heard.append(tr("Stop")),))
        thread.start()
        thread.join()
    assert heard == ["Arrêter"]
    assert tr("Stop") == "Stop"


@pytest.mark.parametrize(
    ("tag", "count", "words"),
    [
        ("en", 1, "1 file could not be read; its row says why."),
        ("en", 0, "0 files could not be read; their rows say why."),
        ("fr", 0, "0 fichier n'a pas pu être lu ; sa ligne dit pourquoi."),
        ("fr", 2, "2 fichiers n'ont pas pu être lus ; leurs lignes disent pourquoi."),
        ("zh-CN", 1, "有 1 个文件无法读取；原因见其所在行。"),
        ("zh-TW", 7, "有 7 個檔案無法讀取；原因見其所在列。"),
    ],
)
def test_each_language_has_its_own_plural(tag, count, words):
    with speaking(tag):
        found = ntr(
            "{count} file could not be read; its row says why.",
            "{count} files could not be read; their rows say why.",
            count,
        )
    assert found == words


@pytest.mark.parametrize("tag", OTHERS)
def test_every_message_of_the_page_is_translated(tag):
    words = catalogue(tag)
    assert MESSAGES.keys() - words.messages.keys() == set()
    assert words.messages.keys() - MESSAGES.keys() == set()  # none is left over
    assert "fuzzy" not in (FOLDER / f"{tag}.po").read_text(encoding="utf-8")
    for message, plural in MESSAGES.items():
        forms = words.messages[message]
        assert words.plurals.get(message) == plural
        assert all(forms), message
        assert len(forms) == (words.form(10**6) + 1 if plural else 1)
        for form in forms:
            assert places(form) == places(message), message


@pytest.mark.parametrize("tag", OTHERS)
def test_translations_are_in_their_language(tag):
    """Long sentences that read the same were forgotten; Chinese ones hold Chinese."""
    for message, forms in catalogue(tag).messages.items():
        if len(message) > 40:
            assert forms[0] != message
            if tag.startswith("zh"):
                assert any("\u4e00" <= letter <= "\u9fff" for letter in forms[0]), message


def test_the_two_ways_of_writing_chinese_are_kept_apart():
    simplified, traditional = (
        "".join(forms[0] for forms in catalogue(tag).messages.values()) for tag in OTHERS[1:]
    )
    assert not set("们个图这时层态径标见") & set(traditional)
    assert not set("們個圖這時層態徑標見") & set(simplified)


def test_components_are_translated_by_the_browser():
    key = label("Stop")
    assert key.startswith("__i18n__")
    words = page_words().translations_dict
    assert words.keys() == LANGUAGES.keys()
    assert words["en"]["mambaout/Stop"] == "Stop"
    assert words["zh-TW"]["mambaout/Stop"] == "停止"
    queue = [words[tag]["status.queue_position"] for tag in LANGUAGES]
    assert all({"{position}", "{size}"} <= {*re.findall(r"{\w+}", told)} for told in queue)
    assert len({*queue}) == len(LANGUAGES)
    assert len({len(messages) for messages in words.values()}) == 1


def test_a_file_of_translations_is_read_as_gettext_writes_it(tmp_path):
    path = tmp_path / "xx.po"
    path.write_text(SOMEBODYS, encoding="utf-8")
    read = read_po(path)
    assert read.one('a "b"') == "c\nd"
    assert [read.of_number("one", "many", n) for n in (1, 3, 9)] == ["1", "2", "5"]
    assert read.one("not there") == "not there"


@pytest.mark.parametrize("line", ['msgctxt "x"', "msgid x", 'msgstr[0 "x"'])
def test_a_damaged_file_names_its_line(tmp_path, line):
    path = tmp_path / "xx.po"
    path.write_text(f'msgid "a"\nmsgstr "b"\n\n{line}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 4"):
        read_po(path)
