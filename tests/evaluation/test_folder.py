from __future__ import annotations

import shutil
import zipfile

import pytest
from PIL import Image

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.folder import read_folder
from mambaout.evaluation.picture_files import picture_reader


@pytest.fixture
def plain(tmp_path):
    """``lion/0.png`` ... ``zebra/2.png``, each of another colour."""
    folder = tmp_path / "plain"
    for shade, name in ((40, "lion"), (90, "zebra")):
        (folder / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (8, 8), (shade, index, 0)).save(folder / name / f"{index}.png")
    return folder


def with_split(plain, target):
    shutil.copytree(plain, target / "val")
    shutil.copytree(plain, target / "train")


def as_published(plain, target):
    images = target / "val" / "images"
    images.mkdir(parents=True)
    lines = []
    for path in sorted(plain.glob("*/*")):
        name = f"val_{path.parent.name}_{path.stem}.JPEG"
        shutil.copy(path, images / name)
        lines.append(f"{name}\t{path.parent.name}\t0\t0\t7\t7\n")
    (target / "val" / "val_annotations.txt").write_text("".join(lines))


def nested(plain, target):
    for path in sorted(plain.glob("*/*")):
        where = target / "val" / path.parent.name / "images" / path.name
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, where)


def as_zips(plain, target):
    target.mkdir()
    with zipfile.ZipFile(target / "val.zip", "w") as archive:
        for path in sorted(plain.glob("*/*")):
            archive.write(path, f"val/{path.relative_to(plain)}")


def contents(folder):
    with picture_reader() as read:
        return [(picture.classes, read(picture)) for picture in read_folder(folder).pictures]


@pytest.mark.parametrize("relayout", [with_split, as_published, nested, as_zips])
def test_every_layout_gives_the_same_pictures_in_the_same_order(plain, tmp_path, relayout):
    expected = contents(plain)
    assert [classes for classes, _ in expected] == [("lion",)] * 3 + [("zebra",)] * 3
    relayout(plain, tmp_path / "other")
    assert contents(tmp_path / "other") == expected


def test_numbers_have_the_names_of_the_data_set_or_else_of_imagenet(plain):
    (plain / "lion").rename(plain / "n02129165")
    assert read_folder(plain).names == {"n02129165": "lion, king of beasts, Panthera leo"}
    (plain / "words.txt").write_text("n02129165\tbig cat\n")
    assert read_folder(plain).names == {"n02129165": "big cat"}


def test_what_is_no_picture_and_what_is_hidden_is_passed_over(plain):
    before = read_folder(plain)
    (plain / "lion" / "notes.txt").write_text("a lion")
    (plain / ".cache").mkdir()
    shutil.copy(plain / "lion" / "0.png", plain / ".cache")
    assert read_folder(plain) == before


def test_the_digest_knows_another_picture(plain):
    before = read_folder(plain).digest
    assert read_folder(plain).digest == before
    with (plain / "lion" / "0.png").open("ab") as file:
        file.write(b"0")
    assert read_folder(plain).digest != before


@pytest.fixture
def voc(tmp_path):
    """Three pictures: a dog on a sofa with a cat that is hard to see, a car, a person."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    for name in ("1", "2", "3"):
        Image.new("RGB", (8, 8)).save(root / "JPEGImages" / f"{name}.jpg")
    shown = {"dog": (1, -1, -1), "sofa": (1, -1, -1), "cat": (0, -1, -1), "car": (-1, 1, -1),
             "person": (-1, -1, 1)}  # fmt: skip
    for name, flags in shown.items():
        lines = [f"{number} {flag:2d}\n" for number, flag in enumerate(flags, start=1)]
        (root / "ImageSets" / "Main" / f"{name}_val.txt").write_text("".join(lines))
    return tmp_path


def test_pascal_voc_is_found_with_all_that_its_pictures_show(voc):
    folder = read_folder(voc)
    assert (folder.name, folder.layout) == ("VOC2012", "Pascal VOC, val")
    shown = {picture.name: picture.classes for picture in folder.pictures}
    assert shown == {
        "JPEGImages/1.jpg": ("dog", "sofa"),
        "JPEGImages/2.jpg": ("car",),
        "JPEGImages/3.jpg": ("person",),
    }


def test_voc_classes_are_kinds_of_imagenets(voc):
    numbers = read_folder(voc).wordnet_numbers
    sizes = {name: len(kinds) for name, kinds in numbers.items()}
    assert sizes == {
        "aeroplane": 2, "bicycle": 2, "bird": 59, "boat": 12, "bottle": 5, "bus": 3, "car": 9,
        "cat": 5, "chair": 4, "cow": 1, "diningtable": 1, "dog": 118, "horse": 1, "motorbike": 2,
        "person": 0, "pottedplant": 1, "sheep": 2, "sofa": 1, "train": 5, "tvmonitor": 4,
    }  # fmt: skip
    assert "n02099601" in numbers["dog"]  # golden retriever
    assert "n02114367" not in numbers["dog"]  # timber wolf
    together = [number for each in numbers.values() for number in each]
    assert len(together) == len(set(together))


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("VOCdevkit/VOC2012/ImageSets/Main/dog_val.txt", "1 yes\n", "1, 0 or -1"),
        ("VOCdevkit/VOC2012/ImageSets/Main/dog_val.txt", "../../secret 1\n", "1, 0 or -1"),
        ("val/val_annotations.txt", "/etc/passwd\tlion\n", "a file name, a tab and a class"),
        ("val/val_annotations.txt", "1.jpg lion\n", "a file name, a tab and a class"),
        ("val.zip", "no zip", "cannot be read as a zip"),
    ],
)
def test_lists_that_make_no_sense_are_named(voc, path, text, message):
    if not path.startswith("VOC"):
        shutil.rmtree(voc / "VOCdevkit")
    (voc / path).parent.mkdir(parents=True, exist_ok=True)
    (voc / path).write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_folder(voc)


def test_folders_without_labelled_pictures_say_what_was_expected(tmp_path):
    with pytest.raises(EvaluationError, match="there is no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(EvaluationError, match=r"no labelled pictures.*val/<class>"):
        read_folder(tmp_path)
