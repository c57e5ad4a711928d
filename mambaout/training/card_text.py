"""A card for a reader, in Markdown."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from mambaout.training.config import Recipe

_SEEN = " That there is a second run was decided when the accuracy of a first one was known."


def markdown(card: dict[str, Any]) -> str:
    """The page that lies beside the weights; ``card`` as `mambaout.training.card.card` makes it."""
    _, height, width = card["input_size"]
    labels = ", ".join(choice["label"] for choice in card["classes"])
    planned = card["recipe"]["epochs"]
    epochs = f"{card['epochs']} epochs"
    if card["epochs"] < planned:
        epochs = f"Stopped after {card['epochs']} of {planned} epochs"
    paragraphs = [
        f"# {card['name']}",
        (
            f"Weights of `{card['model']}` ({card['params'] / 1e6:.2f} M parameters, "
            f"{card['macs'] / 1e6:.1f} M multiply-adds at {height} x {width} pixels), trained with "
            f"{card['mixing']} token mixers."
        ),
        _table(_accuracy(card)),
        f"**Classes ({len(card['classes'])}):** {labels}.",
        (
            f"**Data:** {card['data']['description']} The validation pictures took no part in "
            f"training and in no choice of weights: these are of the last epoch, not of the best."
            f"{_SEEN if card.get('start') else ''}"
        ),
        (
            f"**Pictures:** {height} x {width}, RGB in [0, 1], less mean {card['mean']}, over "
            f"standard deviation {card['std']}."
        ),
        (
            f"**File:** `{card['file']}`, {card['dtype']}, {card['bytes']:,} bytes, "
            f"SHA-256 `{card['sha256']}`."
        ),
        *_novelty(card),
        "## Recipe",
        *_commands(card),
        (
            f"{epochs} in {card['seconds'] / 60:.0f} minutes on {card['hardware']}; "
            f"{card['software']}. The weights are the {card['weights']}."
        ),
        _table([("setting", "value"), *((key, str(v)) for key, v in card["recipe"].items())]),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _accuracy(card: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (f"on {card['val_count']:,} validation pictures", "right", "95 % interval (Wilson)")
    ]
    other = card["other_mixing"]
    sources = [("", card)]
    if "why_not" not in other:
        sources.append((f", the same weights made {other['mixing']}, not retrained", other))
    for suffix, source in sources:
        for key in ("top1", "top5"):
            low, high = source[f"val_{key}_interval"]
            name = f"{key[:3]}-{key[3:]}{suffix}"
            rows.append((name, f"{source[f'val_{key}']:.2%}", f"{low:.1%} to {high:.1%}"))
    return rows


def _novelty(card: dict[str, Any]) -> list[str]:
    """How well the model knows what it does not know; empty where that was not measured."""
    measured = card.get("novelty")
    if measured is None:
        return []
    return [
        (
            f"**Pictures of other things:** it answers with one of its classes whatever it sees. "
            f"An answer whose largest probability, at temperature {measured['temperature']:.2f}, "
            f"is below {measured['threshold']:.3f} is called unsure: so are "
            f"{measured['unsure_inside']:.1%} of {measured['inside_count']:,} validation pictures "
            f"of its classes, and {measured['unsure_outside']:.1%} of "
            f"{measured['outside_count']:,} of other classes of the same data set. The area under "
            f"the ROC curve of that probability is {measured['auroc']:.3f} (0.5 is chance, 1 is "
            f"perfect). Temperature and threshold were chosen on other validation pictures."
        )
    ]


def _commands(card: dict[str, Any]) -> list[str]:
    """The command lines that made the weights, the first one first."""
    start = card.get("start")
    if not start:
        return [f"    {_command(card['recipe'])}"]
    then = (
        f"and then, from the weights that gave ({start['val_top1']:.2%} top-1 after "
        f"{start['epochs']} epochs, {start['seconds'] / 60:.0f} minutes on {start['hardware']}):"
    )
    return [*_commands(start), then, f"    {_command(card['recipe'])}"]


def _command(recipe: dict[str, Any]) -> str:
    """The command line that sets what differs from the defaults."""
    options = [f"--model {recipe['model']}", "--data FOLDER"]
    options += [
        f"--{field.name.replace('_', '-')} {'FILE' if field.name == 'init' else recipe[field.name]}"
        for field in fields(Recipe)
        if field.name != "model" and recipe.get(field.name, field.default) != field.default
    ]
    return " ".join(["python -m mambaout.training", *options])


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
