"""`open_image` takes what people have at hand, and answers the rest with a sentence."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.image import Image, open_image


def encode(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.fixture
def file(tmp_path, pixels):
    path = tmp_path / "a street.png"
    PILImage.fromarray(pixels).save(path)
    return path


def test_every_source_gives_the_same_image(file, pixels):
    data = file.read_bytes()
    sources = [
        str(file),
        file,
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        PILImage.open(file),
        PILImage.fromarray(pixels),
        pixels,
        pixels.astype(np.float32) / 255,
        torch.from_numpy(pixels),
        torch.from_numpy(pixels).permute(2, 0, 1).float() / 255,
        Image(pixels),
    ]
    for source in sources:
        image = open_image(source, name="same")
        np.testing.assert_array_equal(image.pixels, pixels)
        assert image.name == "same"
        assert image == open_image(file, name="same")
        assert image.sha256 == Image(pixels).sha256


def test_names(file, pixels):
    assert open_image(file).name == "a street.png"
    assert open_image(str(file)).name == "a street.png"
    assert open_image(PILImage.open(file)).name == "a street.png"
    with file.open("rb") as stream:
        assert open_image(stream).name == "a street.png"
    assert open_image(pixels).name == "image"
    assert open_image(file.read_bytes()).name == "image"
    assert open_image(file, name="<b>").name == "<b>"
    renamed = open_image(open_image(file), name="other")
    assert renamed.name == "other"


def test_a_name_that_is_not_unicode_becomes_text(tmp_path, pixels):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")  # noqa: PTH118
    try:
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(encode(PILImage.fromarray(pixels)))
    except OSError:
        pytest.skip("this file system allows Unicode names only")
    assert open_image(path if os.name == "nt" else os.fsdecode(path)).name == "caf?.png"


def test_an_image_is_frozen(pixels):
    image = open_image(pixels, name="x")
    with pytest.raises(FrozenInstanceError):
        image.name = "y"
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0, 0] = 1
    before = image.sha256, image.pixels.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(image.pixels, before[1])
    assert Image(image.pixels).sha256 == before[0]
    assert (image.width, image.height) == (20, 12)
    assert image.pixels.flags.c_contiguous
    assert repr(image) == "Image('x', 20 × 12)"


def test_a_read_only_view_is_copied(pixels):
    view = pixels[::2, ::-1]
    view.flags.writeable = False
    image = Image(view)
    expected = view.copy()
    pixels[:] = 0
    np.testing.assert_array_equal(image.pixels, expected)


def test_the_hash_depends_on_pixels_and_shape(pixels):
    image = Image(pixels)
    other = pixels.copy()
    other[3, 4, 1] ^= 1
    turned = pixels.reshape(20, 12, 3)
    assert len({image.sha256, Image(other).sha256, Image(turned).sha256}) == 3
    assert image != Image(other)
    assert hash(image) == hash(Image(pixels))
    assert image != "image"


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 2, 3)), np.zeros((2, 2), np.uint8), np.zeros((0, 2, 3), np.uint8), [1]]
)
def test_an_image_checks_its_pixels(wrong):
    with pytest.raises(ImageError, match="expected uint8"):
        Image(wrong)


def test_an_open_file_keeps_its_position(file, pixels):
    with file.open("rb") as stream:
        for _ in range(2):
            np.testing.assert_array_equal(open_image(stream).pixels, pixels)


def test_a_stream_that_cannot_seek(file, pixels):
    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.rest = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.rest.readinto(buffer)

    np.testing.assert_array_equal(open_image(Pipe(file.read_bytes())).pixels, pixels)


def test_exif_orientation_is_honoured(pixels):
    exif = PILImage.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90° clockwise
    data = encode(PILImage.fromarray(pixels), exif=exif)
    expected = np.rot90(pixels, k=-1)
    np.testing.assert_array_equal(open_image(data).pixels, expected)
    np.testing.assert_array_equal(open_image(PILImage.open(io.BytesIO(data))).pixels, expected)


def test_broken_exif_costs_only_the_orientation(pixels):
    data = encode(PILImage.fromarray(pixels), exif=b"Exif\0\0II*\0garbage that is no directory")
    np.testing.assert_array_equal(open_image(data).pixels, pixels)


def test_color_modes():
    red = PILImage.new("RGB", (4, 3), (255, 0, 0))
    for mode in ("P", "RGBA", "RGBX", "HSV"):
        np.testing.assert_array_equal(open_image(red.convert(mode)).pixels, np.asarray(red))
    for kind, mode in (("JPEG", "CMYK"), ("TIFF", "CMYK"), ("JPEG", "YCbCr")):
        found = open_image(encode(red.convert(mode), kind)).pixels.astype(int)
        assert np.abs(found - np.asarray(red)).max() < 40
    checks = PILImage.fromarray(np.eye(4, dtype=bool))
    assert checks.mode == "1"
    np.testing.assert_array_equal(open_image(checks).pixels[:, :, 1], np.eye(4) * 255)


def test_sixteen_bits_a_pixel():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    expected = np.rint(ramp / 257)
    for kind in ("PNG", "TIFF"):
        found = open_image(encode(PILImage.fromarray(ramp), kind)).pixels[:, :, 0]
        np.testing.assert_allclose(found, expected, atol=1)
    floats = PILImage.fromarray(ramp.astype(np.float32) / 65535)
    assert floats.mode == "F"
    np.testing.assert_allclose(open_image(encode(floats, "TIFF")).pixels[:, :, 0], expected, atol=1)


def test_transparency_shows_white():
    grey = PILImage.new("LA", (2, 1), (0, 0))
    grey.putpixel((1, 0), (10, 255))
    assert open_image(encode(grey)).pixels[0, :, 0].tolist() == [255, 10]
    palette = PILImage.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.putpixel((1, 0), 1)
    assert open_image(encode(palette, transparency=0)).pixels[0, :, 0].tolist() == [255, 9]
    assert open_image(encode(palette, transparency=b"\0\xff")).pixels[0, 0, 0] == 255
    key = PILImage.new("RGB", (2, 1), (1, 2, 3))
    key.putpixel((1, 0), (7, 7, 7))
    found = open_image(encode(key, transparency=(1, 2, 3))).pixels
    assert found[0].tolist() == [[255, 255, 255], [7, 7, 7]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind):
    frames = [PILImage.new("RGB", (8, 8), color) for color in ((250, 0, 0), (0, 250, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert open_image(data).pixels[4, 4].tolist() == [250, 0, 0]


def test_a_pillow_image_is_left_as_it_was():
    picture = PILImage.new("P", (4, 4))
    open_image(picture)
    assert picture.mode == "P"
    assert picture.getpixel((0, 0)) == 0


def test_warnings_of_pillow_do_not_leak(pixels):
    palette = PILImage.fromarray(pixels).quantize(8)
    data = encode(palette, transparency=b"\0" * 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(data).width == 20


def bomb(width, height):
    """A PNG whose header claims a size that its few bytes do not hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(name, body):
        checked = name + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    body = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


@pytest.mark.parametrize("size", [(12_500, 12_500), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_by_their_header(size, monkeypatch):
    def fail(*_args, **_kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    limit = PILImage.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"pixels.*(tiles)"):
        open_image(bomb(*size))
    assert limit == PILImage.MAX_IMAGE_PIXELS


def test_the_limit_is_the_callers(pixels):
    for source in (pixels, encode(PILImage.fromarray(pixels)), torch.from_numpy(pixels),
                   PILImage.fromarray(pixels), Image(pixels), pixels[:, :, 0]):  # fmt: skip
        assert open_image(source, max_pixels=240).width == 20
        with pytest.raises(ImageError, match="239"):
            open_image(source, max_pixels=239)


def test_truncated_files_are_refused(pixels):
    large = PILImage.fromarray(np.tile(pixels, (20, 20, 1)))
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        data = encode(large, kind)
        with pytest.raises(ImageError, match="damaged or cut short"):
            open_image(data[: len(data) // 2], name="half")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "ICO"])
def test_damage_anywhere_is_pixels_or_a_sentence(kind, pixels):
    data = encode(PILImage.fromarray(np.tile(pixels, (3, 2, 1))), kind)
    random = np.random.default_rng(5)
    outcomes = set()
    for _ in range(60):
        broken = bytearray(data)
        for place in random.integers(0, len(data), 6):
            broken[place] = random.integers(0, 256)
        try:
            outcomes.add(open_image(bytes(broken), max_pixels=10**6).pixels.dtype.name)
        except ImageError:
            outcomes.add("refused")
    assert outcomes <= {"uint8", "refused"}
    assert "refused" in outcomes or kind in ("BMP", "JPEG")


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", b"...")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "first bytes are b'hello'"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (zipped(), "ZIP"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_foreign_files_are_named(data, words):
    with pytest.raises(ImageError, match=words):
        open_image(data)


def test_missing_files_folders_and_odd_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=r"no file 'cat\.jpg' in"):
        open_image("cat.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)
    for odd in ("", "  ", "a\0b"):
        with pytest.raises(ImageError, match="not a path"):
            open_image(odd)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image("x" * 5000)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ImageError, match="file"):
        open_image("file/inside.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="not a regular file"):
        open_image(tmp_path / "pipe")


def test_home_is_expanded(monkeypatch, file):
    monkeypatch.setenv("HOME", str(file.parent))
    monkeypatch.setenv("USERPROFILE", str(file.parent))
    assert open_image("~/a street.png").width == 20


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.jpg",
        "s3://bucket/cat.jpg",
        "file:///tmp/cat.jpg",
        "data:image/png;base64,AAAA" * 999,
    ],
)
def test_nothing_is_fetched(url):
    with pytest.raises(ImageError, match="nothing is fetched") as caught:
        open_image(url)
    assert len(str(caught.value)) < 500


def test_streams_that_are_no_use(file):
    with file.open("rb") as stream:
        stream.read()
        with pytest.raises(ImageError, match=r"seek\(0\)"):
            open_image(stream)
    with pytest.raises(ImageError, match="'rb'"):
        open_image(stream)  # closed
    with pytest.raises(ImageError, match="expected bytes"):
        open_image(io.StringIO("text"))


@pytest.mark.parametrize("thing", [None, 7, [[1, 2], [3, 4]], object(), {"a": 1}])
def test_other_things_are_refused(thing):
    with pytest.raises(ImageError, match="is not an image; expected a path"):
        open_image(thing)


def test_a_closed_pillow_image(file):
    picture = PILImage.open(file)
    picture.close()
    with pytest.raises(ImageError, match="damaged or cut short"):
        open_image(picture)


def test_anything_that_numpy_reads(pixels):
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return pixels

    np.testing.assert_array_equal(open_image(Wrapped()).pixels, pixels)


def test_opening_an_image_does_not_import_torch():
    code = (
        "import sys, numpy; from segwidget.media.image import open_image;"
        "open_image(numpy.zeros((2, 2))); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
