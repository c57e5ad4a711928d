"""The gate: whatever a file holds, an upright RGB picture or one sentence comes out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import random
import re
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from mambaout.errors import MambaOutError
from mambaout.pictures import Rejected, open_picture, read_picture
from mambaout.pictures import gate as pictures
from mambaout.pictures.colour import FROM_CMYK, ON_WHITE
from mambaout.pictures.gate import FIRST_FRAME, FIRST_PAGE
from tests.pictures import file_parts as make
from tests.pictures.hostile import BEYOND_LIMITS, PICTURE, SAMPLES, SMALL

# The tests turn warnings into errors; the page runs without. Pillow warns of odd files it can read.
as_the_page_runs = pytest.mark.filterwarnings("ignore")

LINUX = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read as Linux counts it"
)


@pytest.fixture
def stored(tmp_path):
    """Writes a file and answers with its path."""

    def write(data, name="upload.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def opened(stored):
    """Opens the picture in these bytes."""
    return lambda data: open_picture(stored(data))


def outcome(path):
    """PICTURE, or the code of the rejection, once what came out was seen to be in order."""
    try:
        picture = read_picture(path)
    except Rejected as error:
        return checked_rejection(error, path)
    image = picture.image
    assert type(image) is Image.Image  # no file behind it
    assert image.mode == "RGB"
    assert image.info == {}
    assert not image.getexif()
    assert all(isinstance(note, str) for note in picture.notes)
    return PICTURE


def checked_rejection(error, path):
    sentence = str(error)
    assert sentence == error.sentence
    assert re.fullmatch(r"[A-Z][^\n]+\.", sentence)
    assert path.name not in sentence
    assert str(path.parent) not in sentence
    return error.code


@as_the_page_runs
@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_has_the_outcome_it_deserves(name, stored):
    sample = SAMPLES[name]
    path = stored(sample.build(), name)
    before = path.read_bytes()
    assert outcome(path) == sample.expected
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", BEYOND_LIMITS)
def test_limits_hold_where_warnings_are_errors(name, stored):
    sample = BEYOND_LIMITS[name]
    assert outcome(stored(sample.build(), name)) == sample.expected


@as_the_page_runs
@pytest.mark.parametrize("form", SMALL)
def test_no_mutilation_does_anything_else(form, stored):
    whole = SMALL[form]()
    generator = random.Random(form)
    seen = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 8)):
            at = generator.randrange(len(data))
            # headers are where the damage is interesting
            data[generator.choice([at, at % 64])] = generator.choice([0, 255, 127, at % 256])
        if generator.random() < 0.2:
            del data[generator.randrange(len(data)) :]
        seen.add(outcome(stored(bytes(data))))
    assert len(seen) > 1


SAMPLE_FOLDER = "the samples"
CORPORA = [SAMPLE_FOLDER, *filter(None, [os.environ.get("MAMBAOUT_PICTURE_CORPUS")])]


@as_the_page_runs
@pytest.mark.parametrize("corpus", CORPORA)
def test_every_file_of_a_folder_ends_in_a_picture_or_a_sentence(corpus, stored, tmp_path):
    """The variable MAMBAOUT_PICTURE_CORPUS names a folder of more: Pillow's Tests/images, say."""
    if corpus == SAMPLE_FOLDER:
        for name, sample in SAMPLES.items():
            stored(sample.build(), name)
        corpus = tmp_path
    outcomes, longest = {}, 0.0
    for path in sorted(filter(Path.is_file, Path(corpus).rglob("*"))):
        begin = time.perf_counter()
        outcomes[path] = outcome(path)
        longest = max(longest, time.perf_counter() - begin)
    assert {PICTURE, "not_an_image"} <= set(outcomes.values())
    assert longest < 10


# -- pixels ------------------------------------------------------------------------------------

# EXIF 2.32, 4.6.4, tag 274: the side of the scene that the first row and the first column show.
ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def as_held(scene, orientation):
    """The pixels that a camera stores of a ``scene`` (h, w, 3) when it was held like that."""
    first_row, first_column = ORIENTATIONS[orientation]
    if first_row in {"left", "right"}:
        scene = scene.transpose(1, 0, 2)
    if first_row in {"bottom", "right"}:
        scene = scene[::-1]
    if first_column in {"bottom", "right"}:
        scene = scene[:, ::-1]
    return np.ascontiguousarray(scene)


def corners():
    """A scene of 64 by 32 pixels with another colour in each quarter."""
    scene = np.zeros((32, 64, 3), np.uint8)
    scene[:16, :32], scene[:16, 32:] = (250, 20, 20), (20, 250, 20)
    scene[16:, :32], scene[16:, 32:] = (20, 20, 250), (240, 240, 20)
    return scene


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_turned_upright(form, orientation, opened):
    scene = corners()
    held = as_held(scene, orientation)
    if orientation > 1:
        assert held.shape != scene.shape or (held != scene).any()
    tag = Image.Exif()
    tag[274] = orientation
    options = {"quality": 95} if form in {"JPEG", "AVIF"} else {}
    options |= {"lossless": True} if form == "WEBP" else {}
    data = make.encoded(Image.fromarray(held), form, exif=tag.tobytes(), **options)
    upright = np.asarray(opened(data)).astype(int)
    assert upright.shape == scene.shape
    for row in (8, 24):
        for column in (16, 48):
            assert np.abs(upright[row, column] - scene[row, column]).max() < 20


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", [0, 1, 6, 9, 65_535])
def test_orientations_that_mean_nothing_turn_nothing(orientation, order, opened):
    segments = make.exif_segments(make.exif(orientation, order))
    picture = opened(make.jpeg_with(*segments))
    assert picture.size == ((48, 64) if orientation == 6 else (64, 48))


def test_the_first_exif_block_counts(opened):
    segments = [*make.exif_segments(make.exif(6)), *make.exif_segments(make.exif(3))]
    assert opened(make.jpeg_with(*segments)).size == (48, 64)


def ramp(dtype, top):
    """All values from 0 to ``top`` in equal steps, (16, 256)."""
    return np.linspace(0, top, 16 * 256).round().astype(dtype).reshape(16, 256)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped(form, stored):
    values = ramp(np.uint16, 65_535)
    path = stored(make.encoded(Image.fromarray(values), form))
    with Image.open(path) as stock:
        clipped = np.asarray(stock.convert("I").convert("RGB"))
    assert (clipped == 255).mean() > 0.99
    picture = read_picture(path)
    expected = np.rint(values / 257)
    assert np.array_equal(np.asarray(picture.image), np.stack([expected] * 3, axis=-1))
    assert picture.notes == ("16-bit values were scaled to 8 bits.",)


def test_16_bit_colours_are_scaled(opened):
    row = np.array([[0, 65_535, 257 * 100], [300, 32_768, 65_000]], ">u2").tobytes()
    assert (
        np.abs(
            np.asarray(opened(make.png(2, 2, 16, 2, [row, row]))).astype(int)[0]
            - [[0, 255, 100], [1, 128, 253]]
        ).max()
        <= 1
    )


def test_12_bits_are_scaled_by_12_bits(stored):
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x08, 0x00])  # 4095 0 2048 2048
    picture = read_picture(stored(make.tiff(4, 1, packed, bits=12)))
    assert np.asarray(picture.image)[0, :, 0].tolist() == [255, 0, 128, 128]
    assert picture.notes == ("12-bit values were scaled to 8 bits.",)


@pytest.mark.parametrize("order", "<>")
def test_either_byte_order(order, opened):
    values = ramp(np.uint16, 65_535)
    data = make.tiff(256, 16, values.astype(order + "u2").tobytes(), bits=16, order=order)
    assert np.array_equal(np.asarray(opened(data))[..., 1], np.rint(values / 257))


def test_white_may_be_zero(opened):
    values = ramp(np.uint16, 65_535)
    data = make.tiff(256, 16, values.tobytes(), bits=16, photometric=0)
    assert np.array_equal(np.asarray(opened(data))[..., 2], 255 - np.rint(values / 257))


@pytest.mark.parametrize(
    ("top", "dtype", "form", "note"),
    [
        (255, np.int32, 2, None),
        (65_535, np.int32, 2, "16-bit values were scaled to 8 bits."),
        (2**31 - 1, np.int32, 2, "Values from 0 to 2.14748e+09 were stretched"),
        (2**32 - 1, np.uint32, 1, "Values from 0 to 4.29497e+09 were stretched"),
        (1, np.float32, 3, None),
        (1000, np.float32, 3, "Values from 0 to 1000 were stretched"),
        (0.5, np.float32, 3, None),
    ],
)
def test_numbers_without_an_agreed_white(top, dtype, form, note, stored):
    values = np.linspace(0, top, 256).astype(dtype).reshape(4, 64)
    picture = read_picture(stored(make.tiff(64, 4, values.tobytes(), bits=32, form=form)))
    grey = np.asarray(picture.image)[..., 0].astype(float)
    expected = np.linspace(0, 127.5 if top == 0.5 else 255, 256).reshape(4, 64)
    assert np.abs(grey - expected).max() <= 1
    assert [text.startswith(note) for text in picture.notes] == ([True] if note else [])


def test_signed_values_are_stretched(stored):
    values = np.linspace(-1000, 3000, 256).astype(np.int16).reshape(4, 64)
    picture = read_picture(stored(make.tiff(64, 4, values.tobytes(), bits=16, form=2)))
    grey = np.asarray(picture.image)[..., 0].astype(float)
    assert np.abs(grey - np.arange(256).reshape(4, 64)).max() <= 1
    assert picture.notes == ("Values from -1000 to 3000 were stretched from black to white.",)


def test_one_value_all_over_is_grey(opened):
    data = make.tiff(8, 8, np.full((8, 8), -7.5, np.float32).tobytes(), bits=32, form=3)
    assert set(np.asarray(opened(data)).ravel().tolist()) <= {127, 128}


def see_through(mode, colour):
    return make.encoded(Image.new(mode, (8, 8), colour), "PNG")


def palette_picture():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    return make.encoded(image, "PNG", transparency=bytes([255, 128]))


# 16 bits per pixel, the first of the two declared see-through
TWO_GREYS = make.png(
    2, 2, 16, 0, [np.array([100, 2000], ">u2").tobytes()] * 2, make.chunk(b"tRNS", b"\0\x64")
)

ON_WHITE_SAMPLES = {
    "half red": (see_through("RGBA", (255, 0, 0, 128)), (255, 127, 127)),
    "all gone": (see_through("RGBA", (9, 9, 9, 0)), (255, 255, 255)),
    "grey": (see_through("LA", (0, 64)), (191, 191, 191)),
    "palette": (palette_picture(), (227, 127, 127)),
    "one colour": (
        make.encoded(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3)),
        (255, 255, 255),
    ),
    "one grey of 16 bits": (TWO_GREYS, (255, 255, 255)),
    "GIF": (
        make.encoded(Image.new("P", (8, 8), 0), "GIF", transparency=0),
        (255, 255, 255),
    ),
    "WebP": (
        make.encoded(Image.new("RGBA", (8, 8), (0, 0, 255, 128)), "WEBP", lossless=True),
        (127, 127, 255),
    ),
    "TIFF": (make.encoded(Image.new("RGBA", (8, 8), (0, 255, 0, 0)), "TIFF"), (255, 255, 255)),
}


@as_the_page_runs
@pytest.mark.parametrize("name", ON_WHITE_SAMPLES)
def test_see_through_parts_are_shown_on_white(name, stored):
    data, expected = ON_WHITE_SAMPLES[name]
    path = stored(data)
    with Image.open(path) as stock:
        assert stock.convert("RGB").getpixel((0, 0)) != expected
    picture = read_picture(path)
    assert np.abs(np.subtract(picture.image.getpixel((0, 0)), expected)).max() <= 1
    assert ON_WHITE in picture.notes


def test_the_other_grey_of_16_bits_stays(opened):
    assert opened(TWO_GREYS).getpixel((1, 0)) == (8, 8, 8)


def test_an_opaque_alpha_channel_needs_no_note(stored):
    picture = read_picture(stored(make.encoded(make.photograph(mode="RGBA"), "PNG")))
    assert picture.notes == ()
    assert np.array_equal(np.asarray(picture.image), np.asarray(make.photograph()))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))],
)
def test_printing_colours(form, ink, colour, stored):
    picture = read_picture(stored(make.encoded(Image.new("CMYK", (16, 16), ink), form)))
    assert np.abs(np.subtract(picture.image.getpixel((8, 8)), colour)).max() <= 4
    assert picture.notes == (FROM_CMYK,)


def test_lab_colours(opened):
    picture = opened(make.encoded(make.photograph().convert("LAB"), "TIFF"))
    difference = np.asarray(picture).astype(int) - np.asarray(make.photograph())
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_of_an_animation_the_first_frame(form, stored):
    picture = read_picture(stored(make.animation(form)))
    assert np.abs(np.subtract(picture.image.getpixel((16, 12)), (255, 0, 0))).max() <= 3
    assert picture.notes == (FIRST_PAGE if form == "TIFF" else FIRST_FRAME,)


def test_of_a_phones_picture_the_main_one(stored):
    data = SAMPLES["two_pictures.jpg"].build()
    path = stored(data)
    with Image.open(path) as stock:
        assert stock.format == "MPO"
    picture = read_picture(path)
    assert picture.image.size == (64, 48)
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_ordinary_pictures_pass_unchanged(mode, opened):
    image = make.photograph(mode=mode)
    assert np.array_equal(
        np.asarray(opened(make.encoded(image, "PNG"))), np.asarray(image.convert("RGB"))
    )


def test_no_metadata_comes_along(stored):
    tag = Image.Exif()
    tag[0x013B], tag[0x8825] = "the photographer", {1: "N", 2: (48.0, 51.0, 29.0)}
    path = stored(
        make.encoded(make.photograph(), "JPEG", exif=tag.tobytes(), comment=b"taken at home")
    )
    assert b"photographer" in path.read_bytes()
    with Image.open(path) as stock:
        assert {"exif", "comment"} <= set(stock.info)
    again = make.encoded(open_picture(path), "PNG")
    assert b"photographer" not in again
    assert b"taken" not in again


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (11_951, 3347, PICTURE),  # the largest below 40,000,000 that is not a ribbon
        (8000, 5000, PICTURE),
        (13_267, 3015, "too_many_pixels"),  # the smallest above
    ],
)
def test_40_megapixels(width, height, expected, stored):
    begin = time.perf_counter()
    assert outcome(stored(make.black_png(width, height))) == expected
    assert time.perf_counter() - begin < 20


@pytest.mark.parametrize(
    ("height", "expected"), [(6, PICTURE), (7, PICTURE), (8, "too_many_pixels")]
)
def test_the_ceiling_is_one_pixel_sharp(height, expected, stored, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 49)
    assert outcome(stored(make.black_png(7, height))) == expected
    width, short = {6: (48, 1), 7: (49, 1), 8: (50, 1)}[height]
    assert outcome(stored(make.black_png(width, short))) == expected


@pytest.mark.parametrize(
    ("width", "expected"), [(499, PICTURE), (500, PICTURE), (501, "too_elongated")]
)
def test_50_to_1(width, expected, stored):
    assert outcome(stored(make.black_png(width, 10), "wide")) == expected
    assert outcome(stored(make.black_png(10, width), "tall")) == expected


@pytest.mark.parametrize(("width", "expected"), [(3, "too_small"), (4, PICTURE), (5, PICTURE)])
def test_four_pixels(width, expected, stored):
    assert outcome(stored(make.black_png(width, 1))) == expected


@pytest.mark.parametrize(
    ("surplus", "expected"), [(-1, PICTURE), (0, PICTURE), (1, "too_many_bytes")]
)
def test_bytes(surplus, expected, stored, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", 2**16)
    data = SMALL["jpg"]()
    padded = data + bytes(2**16 + surplus - len(data))
    assert outcome(stored(padded)) == expected


@as_the_page_runs
def test_sentences_say_what_came_and_what_is_accepted(stored):
    with pytest.raises(Rejected, match=r"10000 by 10000 pixels \(100\.0 megapixels\).* 40 "):
        open_picture(stored(make.png(10_000, 10_000, 1, 0, [])))
    with pytest.raises(Rejected, match=r"1020 by 20 pixels.* 50 times"):
        open_picture(stored(make.black_png(1020, 20)))
    with pytest.raises(Rejected, match=r"PostScript.* JPEG, PNG"):
        open_picture(stored(b"%!PS-Adobe-3.0"))


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (2100, 2047, (2100, 2047)),  # half of it would have a side of less than 1024
        (3000, 2048, (1500, 1024)),
        (4096, 4200, (1024, 1050)),
    ],
)
def test_large_jpeg_files_are_decoded_at_a_fraction(width, height, size, stored):
    scene = make.photograph().resize((width, height), Image.Resampling.BILINEAR)
    picture = read_picture(stored(make.encoded(scene, "JPEG", quality=90)))
    assert picture.image.size == size
    full = np.asarray(scene.resize(size, Image.Resampling.BOX)).astype(int)
    assert np.abs(np.asarray(picture.image) - full).mean() < 2
    assert bool(picture.notes) == (size != scene.size)


# -- cost --------------------------------------------------------------------------------------


def memory(field):
    """A line of /proc/self/status, in megabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024


@contextlib.contextmanager
def peak_memory():
    """Yields a function: by how many megabytes this process has grown at most since."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier tests freed would be used again, uncounted
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the earlier peak
    before = memory("VmRSS")
    yield lambda: memory("VmHWM") - before


@LINUX
def test_30000_by_30000_pixels_cost_nothing(stored):
    path = stored(make.png(30_000, 30_000, 1, 0, (bytes(3750) for _ in range(30_000))))
    assert path.stat().st_size < 200_000  # of 112 MB of packed bits, 3.6 GB as RGB
    begin = time.perf_counter()
    with peak_memory() as grown:
        assert outcome(path) == "too_many_pixels"
        assert grown() < 10
    assert time.perf_counter() - begin < 5


@LINUX
@as_the_page_runs
@pytest.mark.parametrize(
    "name", ["exif_bomb.jpg", "exif_bomb.avif", "directory.tif", "directory_below.tif"]
)
def test_bombs_of_metadata_do_not_go_off(name, stored):
    path = stored(SAMPLES[name].build(), name)
    assert path.stat().st_size < 300_000
    with peak_memory() as grown:
        with Image.open(path) as stock:
            stock.load()
        assert grown() > 100
    with peak_memory() as grown:
        assert outcome(path) == SAMPLES[name].expected
        assert grown() < 40


@LINUX
def test_a_tile_is_not_decoded_for_a_picture_smaller_than_it(stored):
    path = stored(SAMPLES["tile.tif"].build())
    with peak_memory() as grown:
        with Image.open(path) as stock:
            assert stock.size == (16, 16)
            stock.load()
        assert grown() > 40
    with peak_memory() as grown:
        assert outcome(path) == "too_many_pixels"
        assert grown() < 10


def test_a_picture_drawn_a_hundred_times_is_otherwise_sound(stored):
    path = stored(SAMPLES["scans.jpg"].build())
    with Image.open(path) as stock:
        stock.load()
    assert outcome(path) == "too_complex"


def test_two_are_decoded_at_a_time(stored, monkeypatch):
    path = stored(SMALL["png"]())
    inside, most, changed = 0, 0, threading.Lock()
    decode = pictures._decode

    def slow_decode(data, kind):
        nonlocal inside, most
        with changed:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with changed:
            inside -= 1
        return decode(data, kind)

    monkeypatch.setattr(pictures, "_decode", slow_decode)
    threads = [threading.Thread(target=read_picture, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


# -- manners -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        OSError("broken data stream"), SyntaxError("not a PNG file"), ValueError("bad"),
        KeyError("MPO"), IndexError(), TypeError(), EOFError(), OverflowError(), AssertionError(),
        AttributeError("x"), ZeroDivisionError(), RuntimeError(), NotImplementedError(),
        RecursionError(), UserWarning("odd"), BufferError(),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_no_exception_of_the_decoder_gets_out(error, stored, monkeypatch):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(pictures.Image, "open", fail)
    with pytest.raises(Rejected) as caught:
        open_picture(stored(SMALL["png"]()))
    assert caught.value.code == "damaged"
    assert caught.value.__cause__ is error


def test_lack_of_memory_is_not_blamed_on_the_file(stored, monkeypatch):
    def fail(*args, **options):
        raise MemoryError

    monkeypatch.setattr(pictures, "to_rgb", fail)
    path = stored(SMALL["png"]())
    with pytest.raises(Rejected) as caught:
        open_picture(path)
    assert caught.value.code == "out_of_memory"
    monkeypatch.undo()
    assert outcome(path) == PICTURE  # the turn of a picture that failed is given back


def test_an_interrupt_is_no_damage(stored, monkeypatch):
    def fail(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures.Image, "open", fail)
    with pytest.raises(KeyboardInterrupt):
        open_picture(stored(SMALL["png"]()))


def test_what_is_no_file(tmp_path):
    assert outcome(tmp_path / "missing.jpg") == "unreadable"
    assert outcome(tmp_path) == "unreadable"
    assert outcome(tmp_path / "no\0name") == "unreadable"
    assert outcome(tmp_path / ("long" * 200)) == "unreadable"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are a thing of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert outcome(tmp_path / "pipe.jpg") == "unreadable"
    assert outcome(Path("/dev/zero")) == "unreadable"


def test_a_path_may_be_text(stored):
    assert open_picture(str(stored(SMALL["png"]()))).size == (64, 48)


def test_a_rejection_is_one_of_our_errors_and_travels():
    error = Rejected("damaged", "This file is damaged.")
    assert isinstance(error, MambaOutError)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, str(again)) == ("damaged", "This file is damaged.")


@as_the_page_runs
def test_nothing_of_pillow_or_python_is_switched(stored):
    def switches():
        return (
            list(warnings.filters),
            Image.MAX_IMAGE_PIXELS,
            ImageFile.LOAD_TRUNCATED_IMAGES,
        )

    before = switches()
    outcomes = {outcome(stored(SAMPLES[name].build())) for name in ("warning.png", "half.jpg")}
    assert outcomes == {"too_many_pixels", "damaged"}
    assert switches() == before


@as_the_page_runs
def test_many_threads_open_what_one_opens(stored):
    some = ("half", "small", "animation", "exif")
    paths = [stored(SAMPLES[name].build(), name) for name in SAMPLES if name.startswith(some)]
    alone = [outcome(path) for path in paths]
    together = {}

    def open_all(thread):
        together[thread] = [outcome(path) for path in paths]

    threads = [threading.Thread(target=open_all, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == dict.fromkeys(range(4), alone)


def test_files_are_closed_when_they_are_refused(stored):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for name in ("half.png", "half.tif", "animation.gif", "pages.tif"):
            outcome(stored(SAMPLES[name].build(), name))
