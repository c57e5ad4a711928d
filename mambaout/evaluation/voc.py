"""Pascal VOC's pictures, and what its twenty classes are called in ImageNet.

Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010. Read are
``ImageSets/Main/<class>_val.txt`` (1: shown, 0: shown but hard to see, -1: not shown) and
``JPEGImages``. As in VOC's own evaluation, what is hard to see neither counts for nor against.

VOC's classes are wider than ImageNet's: an answer is right if it is any of the ImageNet-1k classes
that are kinds of what the picture shows (VOC's annotation guidelines say what belongs to a class: a
trolleybus is a bus, a tram is no train). Nobody asks ImageNet for persons, so pictures of persons
alone are not scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.picture_files import Picture, file_picture, is_plain_name, lines_of

_KINDS: dict[str, str] = {
    "aeroplane": "n02690373 n04552348",  # airliner, warplane
    "bicycle": "n02835271 n03792782",  # tandem, mountain bike
    "bird": "n01514668-n01622779 n01795545-n01860187 n02002556-n02058221",  # all 59 birds
    # canoe, catamaran, container ship, fireboat, gondola, lifeboat, liner, pirate ship, schooner,
    # speedboat, trimaran, yawl
    "boat": "n02951358 n02981792 n03095699 n03344393 n03447447 n03662601 n03673027 n03947888 "
    "n04147183 n04273569 n04483307 n04612504",
    "bottle": "n02823428 n03937543 n03983396 n04557648 n04591713",  # beer, pill, pop, water, wine
    "bus": "n03769881 n04146614 n04487081",  # minibus, school bus, trolleybus
    # station wagon, taxi, convertible, jeep, limousine, minivan, Model T, racer, sports car
    "car": "n02814533 n02930766 n03100240 n03594945 n03670208 n03770679 n03777568 n04037443 "
    "n04285008",
    "cat": "n02123045-n02124075",  # the five domestic ones
    "chair": "n02791124 n03376595 n04099969 n04429376",  # barber's, folding, rocking, throne
    "cow": "n02403003",  # ox
    "diningtable": "n03201208",
    "dog": "n02085620-n02113978",  # all 118 breeds
    "horse": "n02389026",  # sorrel
    "motorbike": "n03785016 n03791053",  # moped, motor scooter
    "person": "",
    "pottedplant": "n03991062",  # flowerpot
    "sheep": "n02412080 n02415577",  # ram, bighorn
    "sofa": "n04344873",  # studio couch
    # bullet train, electric locomotive, freight car, passenger car, steam locomotive
    "train": "n02917067 n03272562 n03393912 n03895866 n04310018",
    "tvmonitor": "n03180011 n03782006 n04152593 n04404412",  # desktop, monitor, screen, television
}


@cache
def voc_wordnet_numbers() -> dict[str, frozenset[str]]:
    """VOC's classes -> the ImageNet-1k classes that are kinds of them; none for ``person``."""
    from timm.data import ImageNetInfo

    known = ImageNetInfo("imagenet-1k").label_names()
    # Numbers with a dash between them are the ends of a run in ImageNet's order.
    return {
        name: frozenset(
            number
            for first, _, last in (part.partition("-") for part in kinds.split())
            for number in known
            if first <= number <= (last or first)
        )
        for name, kinds in _KINDS.items()
    }


def voc_root(folder: Path) -> Path | None:
    """Where VOC lies in ``folder``: itself, ``VOC2012`` or ``VOCdevkit/VOC2012``; None if nowhere.

    Raises:
        EvaluationError: the folder holds several years.
    """
    candidates = [folder, *sorted(folder.glob("VOC20*")), *sorted(folder.glob("VOCdevkit/VOC20*"))]
    roots = [
        path
        for path in candidates
        if (path / "JPEGImages").is_dir() and (path / "ImageSets" / "Main").is_dir()
    ]
    if len(roots) > 1:
        years = ", ".join(str(root.relative_to(folder)) for root in roots)
        raise EvaluationError(f"{folder} holds several sets of Pascal VOC: name one of {years}")
    return roots[0] if roots else None


def voc_pictures(root: Path) -> Iterator[Picture]:
    """The validation pictures that show something, with all they show.

    Raises:
        EvaluationError: there are no lists of what the pictures show, or a line makes no sense.
    """
    shown: dict[str, list[str]] = {}
    lists = [(name, root / "ImageSets" / "Main" / f"{name}_val.txt") for name in _KINDS]
    if not any(path.is_file() for _, path in lists):
        raise EvaluationError(
            f"{root / 'ImageSets' / 'Main'} has none of the lists aeroplane_val.txt to "
            f"tvmonitor_val.txt, which say what each picture shows"
        )
    for name, path in lists:
        for line in lines_of(path) if path.is_file() else []:
            fields = line.split()
            sensible = len(fields) == 2 and fields[1] in {"1", "0", "-1"}
            if not sensible or not is_plain_name(fields[0]):
                raise EvaluationError(
                    f"{path}: expected a picture and 1, 0 or -1 in every line, got {line[:60]!r}"
                )
            if fields[1] == "1":
                shown.setdefault(fields[0], []).append(name)
    for identifier in sorted(shown):
        path = root / "JPEGImages" / f"{identifier}.jpg"
        yield file_picture(path, tuple(shown[identifier]), root)
