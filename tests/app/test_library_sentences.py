"""What the library says to people reaches the page in the visitor's language."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import gradio as gr
import pytest

import mambaout
from app.catalogues import catalogue
from app.events import spoken
from app.language import speaking, told
from app.text import sentence
from mambaout.errors import MambaOutError, Sentence, said_by
from mambaout.pictures.errors import Rejected

LIBRARY = Path(mambaout.__file__).parent
# What a page asks: programs alone train, and evaluate folders on the disk.
ASKED = ("catalogue", "explain", "models")
ERRORS = {"MambaOutError", "CheckpointError", "WeightsUnavailable", "ExplanationError"}
REASONS = {"why_no_scan", "why_no_causal_form", "why_paths_are_fixed"}
# Of arguments that only a program can give wrongly, and of files that only a host can bring.
FOR_PROGRAMS = re.compile(
    "must be|^expected|list_models|with that tag|no weight file|no(t a)? safetensors file"
)
OF_FILES = {"models/reading.py", "models/checkpoints.py", "models/conversion.py"}


def written(node):
    """The words of an expression as far as they stand in the source; None if it is no literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value for part in node.values if isinstance(part, ast.Constant))
    if isinstance(node, ast.BinOp):
        return f"{written(node.left) or ''}{written(node.right) or ''}"
    if isinstance(node, ast.IfExp):
        return written(node.body) or written(node.orelse)
    return None


def bare(tree):
    """What is raised or given as a reason in words that are no `Sentence`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            if getattr(node.exc.func, "id", "") in ERRORS and node.exc.args:
                yield written(node.exc.args[0])
        elif isinstance(node, ast.FunctionDef):
            decorators = {
                getattr(getattr(d, "value", d), "id", "") for d in node.decorator_list
            } | {node.name}
            if decorators & REASONS:
                returns = [r for r in ast.walk(node) if isinstance(r, ast.Return)]
                yield from (written(r.value) for r in returns if r.value is not None)


def test_nothing_that_a_visitor_can_meet_is_said_in_words_that_cannot_be_translated():
    found, looked = [], 0
    for folder in ASKED:
        for path in sorted((LIBRARY / folder).rglob("*.py")):
            name = path.relative_to(LIBRARY).as_posix()
            if name in OF_FILES:
                continue
            for words in bare(ast.parse(path.read_text(encoding="utf-8"))):
                looked += 1
                if words and not FOR_PROGRAMS.search(words):
                    found.append(f"{name}: {words}")
    assert looked > 60  # it does look
    assert found == []


def test_a_sentence_is_told_with_the_sentences_in_it():
    whole = Sentence.joined(
        Sentence(
            "the {method} map of {layer} is zero everywhere: {reason}",
            method="Grad-CAM",
            layer="blocks.3",
            reason=Sentence("no place of this layer changes the logit of {asked}",
                            asked=Sentence("class {index}", index=7)),
        ),
        "",
        "Places where less of a feature would raise the logit are left out.",
    )  # fmt: skip
    assert whole == (
        "the Grad-CAM map of blocks.3 is zero everywhere: no place of this layer changes the logit "
        "of class 7 Places where less of a feature would raise the logit are left out."
    )
    kept = pickle.loads(pickle.dumps(whole))
    with speaking("fr"):
        assert told(kept) == told(whole) == (
            "la carte Grad-CAM de blocks.3 est nulle partout : aucun endroit de cette couche ne "
            "change le logit de la classe 7 "
            + catalogue("fr").one("Places where less of a feature would raise the logit are left "
                                  "out.")
        )  # fmt: skip


def test_an_error_keeps_the_sentence_it_was_made_of():
    template = "No model on offer is called {name}: choose one from the list."
    error = MambaOutError(Sentence(template, name="${x}{name}"))
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "No model on offer is called ${x}{name}: choose one from the list."
        with speaking("fr"):
            said = sentence(said_by(one))
        assert said == (
            "Aucun modèle proposé ne s'appelle ${x}{name} : choisissez-en un dans la liste."
        )
    rejected = Rejected("empty", "This file is empty.")
    assert said_by(rejected) is rejected.sentence
    assert said_by(ValueError("plain", 2)) == "('plain', 2)"


def test_an_event_tells_it_to_the_visitor():
    def handler():
        raise MambaOutError(Sentence("{model} has no scan paths to choose from", model="ViT"))
        yield

    with speaking("zh-CN"), pytest.raises(gr.Error, match="ViT 没有可选择的扫描路径"):
        next(spoken(handler)())
