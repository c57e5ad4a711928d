"""The cache of results: the same question has the same answer, in bounded memory."""

from __future__ import annotations

import mmap
import threading
import weakref
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from app.result_memory import settled, size_of
from app.results import Results, picture_digest


@dataclass(frozen=True)
class Kept:
    values: np.ndarray
    seen: Image.Image
    words: str


def test_the_digest_is_of_the_pixels(tmp_path):
    picture = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
    picture.save(tmp_path / "one.png")
    picture.save(tmp_path / "other.bmp")
    digests = {picture_digest(Image.open(path).convert("RGB")) for path in tmp_path.iterdir()}
    assert digests == {picture_digest(picture)}
    changed = picture.copy()
    changed.putpixel((4, 3), (0, 0, 0))
    assert picture_digest(changed) not in digests
    # The same bytes in another shape are another picture.
    assert picture_digest(Image.frombytes("RGB", (5, 4), picture.tobytes())) in digests
    assert picture_digest(Image.frombytes("RGB", (4, 5), picture.tobytes())) not in digests


def test_the_size_counts_arrays_and_pictures_wherever_they_are():
    array = np.zeros(10, np.float32)
    assert size_of(Kept(array, Image.new("RGB", (4, 2)), "words")) == 40 + 24
    assert size_of({"a": (array, [array])}) == 80


def test_what_was_asked_before_is_not_made_again():
    results, made = Results(1000), []
    for _ in range(2):
        assert results.get("key", lambda: made.append(1) or "answer") == "answer"
    assert made == [1]


def test_it_never_keeps_more_than_it_may():
    results = Results(100)
    for key in range(50):
        results.get(key, lambda: np.zeros(40, np.uint8))
        assert results.bytes <= 100
    assert len(results) == 2
    # The one asked for last stays, though it came first.
    results.get(48, pytest.fail)
    results.get(50, lambda: np.zeros(40, np.uint8))
    results.get(48, pytest.fail)


def test_what_is_larger_than_everything_is_not_kept_and_nothing_goes_for_it():
    results = Results(100)
    results.get("small", lambda: np.zeros(40, np.uint8))
    assert results.get("large", lambda: np.zeros(101, np.uint8)).nbytes == 101
    results.get("small", pytest.fail)
    assert (len(results), results.bytes) == (1, 40)


def test_an_error_is_not_an_answer():
    results = Results(100)
    with pytest.raises(ZeroDivisionError):
        results.get("key", lambda: 1 // 0)
    assert results.get("key", lambda: 7) == 7


def test_threads_that_ask_together_leave_the_count_right():
    results, start = Results(10**6), threading.Barrier(8)

    def ask():
        start.wait()
        for key in range(100):
            results.get(key, lambda: np.zeros(10, np.uint8))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(results), results.bytes) == (100, 1000)


class Both(NamedTuple):
    one: np.ndarray
    words: str


def test_what_is_kept_owns_its_memory_and_nothing_else_is_copied():
    large = np.arange(10**6, dtype=np.float32)
    view = Kept(large[:5], Image.new("RGB", (1, 1)), "words")
    value = (view, [Both(large[5:7], "a")], {"a": large[:2], "b": None}, "words")
    kept = Results(10**6).get("key", lambda: value)
    arrays = kept[0].values, kept[1][0].one, kept[2]["a"]
    originals = view.values, large[5:7], large[:2]
    for array, original in zip(arrays, originals, strict=True):
        assert array.base is None
        assert np.array_equal(array, original)
    assert kept[0].seen is view.seen
    assert [type(part) for part in kept] == [type(part) for part in value]
    assert isinstance(kept[1][0], Both)
    plain = (Both, {"a": ("b", None)}, [1, 2])
    assert settled(plain) is plain


def test_arrays_of_some_size_lie_in_memory_that_the_system_takes_back():
    generator = np.random.default_rng(0)
    drawn = [generator.random(shape) for shape in ((0,), (), (3, 5), (200, 300))]
    turned = drawn[-1].T[::2]
    value = Kept(turned, Image.new("RGB", (1, 1)), "words"), drawn, np.array([None, "object"])
    kept = settled(value)
    for array, original in zip([kept[0].values, *kept[1]], [turned, *drawn], strict=True):
        np.testing.assert_array_equal(array, original)
        assert isinstance(array.base, mmap.mmap)
        assert not np.shares_memory(array, original)
        assert array.flags.c_contiguous
        assert array.flags.aligned
        array[...] = 1  # overlaps no other
    np.testing.assert_array_equal(kept[2], value[2])
    gone = weakref.ref(kept[1][0].base)
    del kept, array
    assert gone() is None
