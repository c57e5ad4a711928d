"""Every message of the page, found in its source; run as a script, it prints what is untranslated.

python tests/app/messages.py fr
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SINGULAR = {"tr", "label", "noted"}
# Modules of the library whose constants the page shows: their words are messages too.
SHOWN = ("mambaout/evaluation/caveats.py", "mambaout/evaluation/study_words.py")
METHODS = "mambaout/explain/cam_methods.py"
PICTURES = "mambaout/pictures"
UNITS = ("mambaout/explain/trace.py", "mambaout/explain/activity.py")
FACTS = "mambaout/catalogue/facts.json"
MIXERS = "mambaout/catalogue/cards.py"


def messages() -> dict[str, str | None]:
    """English message -> its plural, or None."""
    found: dict[str, str | None] = {}
    for path in sorted((ROOT / "app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = [a.value for a in node.args if _is_text(a)]
                if node.func.id in {*SINGULAR, "Sentence"} and words:
                    found.setdefault(words[0], None)
                elif node.func.id == "ntr":
                    found[words[0]] = words[1]
    for name in SHOWN:
        for node in ast.parse((ROOT / name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
                found.update((value.value, None) for value in values if _is_text(value))
    for node in ast.walk(ast.parse((ROOT / MIXERS).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_Family":
            found.setdefault(node.args[1].value, None)
    facts = json.loads((ROOT / FACTS).read_text(encoding="utf-8")).values()
    found.update((fact["data"], None) for fact in facts if " " in fact["data"])
    found.update(dict.fromkeys(_of_maps()))
    found.update(dict.fromkeys(_of_sentences()))
    found.update(dict.fromkeys(_of_pictures()))
    return found


def _of_maps() -> Iterator[str]:
    """Units and caveats of the maps, as the library calls them."""
    for node in ast.walk(ast.parse((ROOT / METHODS).read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.keyword)
            and node.arg in {"unit", "caveat"}
            and _is_text(node.value)
        ):
            yield node.value.value
    for name in UNITS:
        for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "units":
                for inner in ast.walk(node.value):
                    if isinstance(inner, ast.Dict):
                        yield from (value.value for value in inner.values if _is_text(value))


def _of_sentences() -> Iterator[str]:
    """What the library says to people: templates of `mambaout.errors.Sentence`."""
    for path in sorted((ROOT / "mambaout").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Sentence"
                and _is_text(node.args[0])
            ):
                yield node.args[0].value


def _of_pictures() -> Iterator[str]:
    """What the gate says about a picture, and why it refuses one."""
    for path in sorted((ROOT / PICTURES).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Rejected":
                yield from (argument.value for argument in node.args[1:] if _is_text(argument))
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                words = (inner.value for inner in ast.walk(node.value) if _is_text(inner))
                yield from (word for word in words if " " in word and word.isprintable())


def entry(message: str, plural: str | None) -> str:
    """A message as an entry without its translation."""
    quoted = json.dumps(message, ensure_ascii=False)
    if plural is None:
        return f'msgid {quoted}\nmsgstr ""\n'
    plural = json.dumps(plural, ensure_ascii=False)
    return f'msgid {quoted}\nmsgid_plural {plural}\nmsgstr[0] ""\n'


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from app.catalogues import FOLDER, read_po

    known = read_po(FOLDER / f"{sys.argv[1]}.po").messages
    missing = [entry(*pair) for pair in messages().items() if pair[0] not in known]
    sys.stdout.write("\n".join(missing))
