"""Which classes are told apart, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mambaout.training.config import TrainingError


class ImageClass(NamedTuple):
    """One class: the folder its pictures lie in, and a name a person can read."""

    wnid: str
    label: str


EVERYDAY: tuple[ImageClass, ...] = (
    ImageClass("n01443537", "goldfish"),
    ImageClass("n01882714", "koala"),
    ImageClass("n01910747", "jellyfish"),
    ImageClass("n02056570", "king penguin"),
    ImageClass("n02099601", "golden retriever"),
    ImageClass("n02123045", "tabby cat"),
    ImageClass("n02129165", "lion"),
    ImageClass("n02132136", "brown bear"),
    ImageClass("n02165456", "ladybug"),
    ImageClass("n02279972", "monarch butterfly"),
    ImageClass("n02504458", "African elephant"),
    ImageClass("n04146614", "school bus"),
    ImageClass("n04285008", "sports car"),
    ImageClass("n02917067", "bullet train"),
    ImageClass("n04465501", "tractor"),
    ImageClass("n04398044", "teapot"),
    ImageClass("n04507155", "umbrella"),
    ImageClass("n04399382", "teddy bear"),
    ImageClass("n07753592", "banana"),
    ImageClass("n07747607", "orange"),
    ImageClass("n07873807", "pizza"),
    ImageClass("n07734744", "mushroom"),
    ImageClass("n02814860", "lighthouse"),
    ImageClass("n04366367", "suspension bridge"),
)
"""24 of the 200 Tiny-ImageNet classes: things a visitor has a picture of, few look-alikes."""


def choose_classes(
    choice: str, present: Sequence[str], names: Mapping[str, str]
) -> tuple[ImageClass, ...]:
    """The classes to train on, in the order of the classifier's outputs.

    Args:
        choice: ``everyday``, ``all``, or a text file with one class per line, its folder name and
            optionally a blank or tab and a label.
        present: folder names of the training set.
        names: folder name -> "label, synonym, synonym", where the data set has such a table.

    Raises:
        TrainingError: a chosen class is not in the training set, or the file is missing or empty.
    """
    if choice == "everyday":
        chosen = EVERYDAY
    elif choice == "all":
        chosen = tuple(ImageClass(wnid, _first_name(wnid, names)) for wnid in sorted(present))
    else:
        chosen = _from_file(Path(choice), names)
    missing = sorted({wnid for wnid, _ in chosen} - set(present))
    if missing:
        raise TrainingError(
            f"--classes {choice} needs {len(chosen)} class folders, {len(missing)} of them are not "
            f"in the training set (such as {', '.join(missing[:3])}); use --classes all or a file "
            f"of your own"
        )
    if len(chosen) < 2:
        raise TrainingError(
            f"--classes {choice} gives {len(chosen)} classes, at least 2 are needed"
        )
    return chosen


def _first_name(wnid: str, names: Mapping[str, str]) -> str:
    return names.get(wnid, wnid).split(",")[0].strip()


def _from_file(path: Path, names: Mapping[str, str]) -> tuple[ImageClass, ...]:
    if not path.is_file():
        raise TrainingError(f"--classes must be everyday, all or a text file, got {str(path)!r}")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    split = [re.split(r"\s+", line, maxsplit=1) for line in lines if line]
    chosen = tuple(
        ImageClass(parts[0], parts[1] if len(parts) > 1 else _first_name(parts[0], names))
        for parts in split
    )
    if len({wnid for wnid, _ in chosen}) != len(chosen):
        raise TrainingError(f"{path} names a class twice")
    return chosen
