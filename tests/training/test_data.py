from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mambaout.training.config import TrainingError
from mambaout.training.data import load_dataset


def load(folder, recipe, cache):
    lines = []
    return load_dataset(folder, recipe, cache, lines.append), lines


def as_published(source, target):
    """The layout of the public Tiny-ImageNet archive, from one folder per class."""
    lines = []
    (target / "val" / "images").mkdir(parents=True)
    for class_folder in sorted((source / "train").iterdir()):
        images = target / "train" / class_folder.name / "images"
        images.mkdir(parents=True)
        (images.parent / f"{class_folder.name}_boxes.txt").write_text("0\t0\t0\t31\t31\n")
        for path in class_folder.iterdir():
            shutil.copy(path, images / f"{path.stem}.JPEG")
    for path in sorted((source / "val").glob("*/*")):
        name = f"val_{len(lines)}.JPEG"
        shutil.copy(path, target / "val" / "images" / name)
        lines.append(f"{name}\t{path.parent.name}\t0\t0\t31\t31\n")
    (target / "val" / "val_annotations.txt").write_text("".join(lines))
    (target / "words.txt").write_text("amber\tamber, resin\nblue\tblue, azure\n")
    return target


def as_zips(source, target):
    """One val.zip and a training set in two zips."""
    target.mkdir()
    with (
        zipfile.ZipFile(target / "train-1.zip", "w") as first,
        zipfile.ZipFile(target / "train-2.zip", "w") as second,
        zipfile.ZipFile(target / "val.zip", "w") as val,
    ):
        for i, path in enumerate(sorted((source / "train").glob("*/*"))):
            (first, second)[i % 2].write(path, path.relative_to(source))
        for path in sorted((source / "val").glob("*/*")):
            val.write(path, path.relative_to(source))
    (target / "classes.tsv").write_text("amber\tamber, resin\nblue\tblue, azure\n")
    return target


def in_no_order(split):
    """Pictures and labels as a set, since layouts differ in the order of files."""
    rows = torch.cat([split.labels[:, None].byte(), split.images.flatten(1)], dim=1)
    return sorted(row.numpy().tobytes() for row in rows)


@pytest.mark.parametrize("relayout", [as_published, as_zips])
def test_every_layout_gives_the_same_pictures_and_labels(pictures, recipe, tmp_path, relayout):
    plain, _ = load(pictures, recipe, tmp_path / "a")
    other, _ = load(relayout(pictures, tmp_path / "other"), recipe, tmp_path / "b")
    assert (len(plain.train), len(plain.val)) == (48, 18)
    assert in_no_order(other.train) == in_no_order(plain.train)
    assert in_no_order(other.val) == in_no_order(plain.val)
    assert [label for _, label in other.classes] == ["amber", "blue", "green"]


def test_pixels_are_those_of_the_files(pictures, recipe, tmp_path):
    data, _ = load(pictures, recipe, tmp_path)
    with Image.open(pictures / "val" / "blue" / "3.png") as opened:
        expected = torch.from_numpy(np.array(opened)).permute(2, 0, 1)
    blue = data.val.images[data.val.labels == 1]
    assert any(torch.equal(image, expected) for image in blue)
    assert data.val.images.dtype == torch.uint8


def test_the_second_time_nothing_is_decoded(pictures, recipe, tmp_path):
    first, said = load(pictures, recipe, tmp_path)
    assert len(said) == 2
    second, said = load(pictures, recipe, tmp_path)
    assert said == []
    assert torch.equal(first.train.images, second.train.images)
    assert first.digest == second.digest


def test_another_picture_is_another_array_and_another_digest(pictures, recipe, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    before, _ = load(folder, recipe, tmp_path / "cache")
    Image.new("RGB", (32, 32)).save(folder / "train" / "blue" / "3.png")
    after, said = load(folder, recipe, tmp_path / "cache")
    assert len(said) == 1
    assert after.digest != before.digest
    assert not torch.equal(after.train.images, before.train.images)


def test_writing_into_the_pictures_does_not_reach_the_cache(pictures, recipe, tmp_path):
    first, _ = load(pictures, recipe, tmp_path)
    first.train.images.zero_()
    second, _ = load(pictures, recipe, tmp_path)
    assert second.train.images.any()


def test_other_shapes_are_scaled_and_cut_to_the_middle(pictures, recipe, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, 64:128] = 200  # the middle square is bright, the rest is black
    for path in (folder / "val").glob("*/*"):
        Image.fromarray(wide).convert("L").save(path)
    data, _ = load(folder, recipe, tmp_path / "cache")
    assert data.val.images.shape[1:] == (3, 32, 32)
    assert (data.val.images[:, :, :, 3:-3] == 200).all()


def test_a_limit_takes_as_many_of_each_class(pictures, recipe, tmp_path):
    data, _ = load(pictures, replace(recipe, limit_train=31), tmp_path)
    assert torch.bincount(data.train.labels).tolist() == [11, 10, 10]
    assert len(data.val) == 18


def test_webp_pictures_are_told_from_lossless_ones(pictures, recipe, tmp_path):
    assert not load(pictures, recipe, tmp_path / "a")[0].lossy_webp
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    for path in list((folder / "train").glob("*/*")):
        with Image.open(path) as opened:
            opened.save(path.with_suffix(".webp"))
        path.unlink()
    assert load(folder, recipe, tmp_path / "b")[0].lossy_webp


def test_a_folder_without_pictures_says_what_was_expected(recipe, tmp_path):
    with pytest.raises(TrainingError, match=r"no train pictures.*train/<class>"):
        load(tmp_path, recipe, tmp_path / "cache")


def test_a_damaged_picture_is_named_and_no_half_array_is_left(pictures, recipe, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    (folder / "train" / "green" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    with pytest.raises(TrainingError, match=r"5\.png cannot be read as a picture"):
        load(folder, recipe, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
