"""An expert's mask is the same truth in every form that tools write, or it is refused with a sentence."""

import io
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from ml.datasets import Case, DatasetError
from tests.support import scan_files

SIDE = 64
TUMOR = np.zeros((SIDE, SIDE), dtype=bool)
TUMOR[20:41, 7:30] = True
TUMOR[50:53, 50] = True
EMPTY = np.zeros_like(TUMOR)
Writer = Callable[[np.ndarray], bytes]


def tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def pillow(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def planes(*values: object) -> np.ndarray:
    """uint8 (SIDE, SIDE, len(values)); each an array or one number."""
    return np.dstack([np.broadcast_to(np.asarray(value, np.uint8), (SIDE, SIDE)) for value in values])


def white(mask: np.ndarray) -> np.ndarray:
    return mask * np.uint8(255)


def palette(indices: np.ndarray, colors: list[int], **options: object) -> bytes:
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(colors)
    return pillow(image, **options)


def with_transparency(png: bytes, value: bytes) -> bytes:
    """A gray PNG in which one value, 16 bits, is transparent."""
    at = png.index(b"IDAT") - 4
    return png[:at] + scan_files.png_chunk(b"tRNS", value) + png[at:]


def pages(*written: tuple[np.ndarray, int]) -> bytes:
    """A TIFF of pages with their NewSubfileType."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for values, subfiletype in written:
            writer.write(values, subfiletype=subfiletype)
    return file.getvalue()


WRITERS: dict[str, Writer] = {
    "tifffile bool": tiff,
    "tifffile bool, deflate": lambda m: tiff(m, compression="zlib"),
    "tifffile bool, OME": lambda m: tiff(m, ome=True),
    "tifffile bool, no metadata": lambda m: tiff(m, metadata=None),
    "tifffile bool, no software": lambda m: tiff(m, software=""),
    "tifffile bool, black is 0": lambda m: tiff(m, photometric="minisblack"),
    "white is 0, 8 bit": lambda m: tiff(white(~m), photometric="miniswhite"),
    "white is 0, 16 bit": lambda m: tiff((~m).astype(np.uint16) * 65535, photometric="miniswhite"),
    "ImageJ, black on white": lambda m: tiff(
        white(m), photometric="miniswhite", description="ImageJ=1.54f\n", metadata=None
    ),
    "Pillow bool TIFF": lambda m: pillow(Image.fromarray(m), "tiff"),
    "Pillow bool TIFF, fax": lambda m: pillow(Image.fromarray(m), "tiff", compression="group4"),
    "Pillow bool PNG": lambda m: pillow(Image.fromarray(m)),
    **{
        f"TIFF {dtype} of 1": lambda m, dtype=dtype: tiff(m.astype(dtype), photometric="minisblack")
        for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
    },
    **{f"TIFF {dtype}": lambda m, dtype=dtype: tiff(m.astype(dtype)) for dtype in ("float16", "float32", "float64")},
    "PNG 16 bit of 1": lambda m: bytes(imagecodecs.png_encode(m.astype(np.uint16))),
    "PNG 16 bit RGB of 1": lambda m: bytes(imagecodecs.png_encode(np.dstack([m.astype(np.uint16)] * 3))),
    "white, tumor in alpha": lambda m: pillow(Image.fromarray(planes(255, 255, 255, white(m)))),
    "black, tumor in alpha": lambda m: pillow(Image.fromarray(planes(0, 0, 0, white(m)))),
    "red, tumor in alpha": lambda m: pillow(Image.fromarray(planes(255, 0, 0, m * np.uint8(120)))),
    "gray and alpha, white": lambda m: pillow(Image.fromarray(planes(255, white(m)))),
    "gray and alpha, black": lambda m: pillow(Image.fromarray(planes(0, white(m)))),
    "RGBA, opaque": lambda m: pillow(Image.fromarray(planes(white(m), white(m), white(m), 255))),
    "gray and alpha, opaque": lambda m: pillow(Image.fromarray(planes(white(m), 255))),
    "RGBA of 16 bit": lambda m: bytes(
        imagecodecs.png_encode(np.dstack([np.full((SIDE, SIDE, 3), 65535, np.uint16), m * np.uint16(65535)]))
    ),
    "RGBA WebP": lambda m: pillow(Image.fromarray(planes(255, 255, 255, white(m))), "webp", lossless=True, exact=True),
    "RGBA TIFF": lambda m: tiff(planes(255, 255, 255, white(m)), photometric="rgb", extrasamples=["unassalpha"]),
    "RGBA TIFF, black": lambda m: tiff(planes(0, 0, 0, white(m)), photometric="rgb", extrasamples=["unassalpha"]),
    "gray and alpha TIFF": lambda m: tiff(
        planes(255, white(m)), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    ),
    "white is transparent's opposite": lambda m: pillow(Image.fromarray(white(m)), transparency=0),
    "palette, colors": lambda m: palette(m, [9, 200, 30, 70, 1, 90]),
    "palette, white and black": lambda m: palette(m, [255, 255, 255, 0, 0, 0]),
    "palette, all black": lambda m: palette(m, [0] * 6),
    "palette, all white, background transparent": lambda m: palette(m, [255] * 6, transparency=b"\0\xff"),
    "palette, colors, background transparent": lambda m: palette(m, [255, 0, 0, 255, 0, 0], transparency=0),
    "palette, tumor first, background transparent": lambda m: palette(~m, [255, 0, 0, 0, 0, 0], transparency=1),
    "palette TIFF": lambda m: tiff(
        m.astype(np.uint8), photometric="palette", colormap=np.full((3, 256), 40_000, np.uint16)
    ),
    "JPEG": lambda m: pillow(Image.fromarray(white(m)), "jpeg", quality=75),
    "JPEG, color": lambda m: pillow(Image.fromarray(planes(white(m), white(m), white(m))), "jpeg", quality=90),
    "JPEG in TIFF": lambda m: tiff(white(m), compression="jpeg"),
    "JPEG, CMYK": lambda m: pillow(Image.fromarray(planes(*[white(m)] * 3)).convert("CMYK"), "jpeg", quality=90),
    "JPEG XL with loss in TIFF": lambda m: tiff(white(m), compression="jpegxl", compressionargs={"distance": 5.0}),
    "JPEG 2000 in TIFF": lambda m: tiff(white(m), compression="jpeg2000"),
    "white is 0, 1 bit": lambda m: tiff(
        ~m, photometric="miniswhite", software="another", description="a mask", metadata=None
    ),
    "PNG 16 bit, 0 transparent": lambda m: with_transparency(
        bytes(imagecodecs.png_encode(m.astype(np.uint16) * 500)), bytes(2)
    ),
    "red on transparent, quantized": lambda m: pillow(Image.fromarray(planes(255, 0, 0, white(m))).quantize(2)),
    "preview beside it": lambda m: pages((white(m), 0), (np.ascontiguousarray(white(m)[::4, ::4]), 1)),
    "channels as pages": lambda m: tiff(
        np.stack([white(m), white(m), white(m)]), photometric="minisblack", metadata={"axes": "CYX"}
    ),
    "WebP": lambda m: pillow(Image.fromarray(planes(white(m), white(m), white(m))), "webp", quality=90),
    "WebP without loss": lambda m: pillow(Image.fromarray(planes(white(m), white(m), white(m))), "webp", lossless=True),
    "WebP without loss, 0 and 1": lambda m: pillow(Image.fromarray(planes(m, m, m)), "webp", lossless=True),
}


def case_of(folder: Path, content: bytes) -> Case:
    """A case whose mask's bytes are these, whatever its name says."""
    (folder / "a_mask.png").write_bytes(content)
    return Case("anna", folder / "a.png", folder / "a_mask.png")


@pytest.mark.parametrize("name", WRITERS)
def test_a_mask_is_the_same_truth_in_every_form(tmp_path, name):
    truth = case_of(tmp_path, WRITERS[name](TUMOR)).truth()
    assert truth.dtype == bool and np.array_equal(truth, TUMOR), f"{truth.mean():.1%} tumor"


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_mask_is_empty_in_every_form(tmp_path, name):
    if name == "palette, tumor first, background transparent":
        return  # all of it is transparent, below
    assert not case_of(tmp_path, WRITERS[name](EMPTY)).truth().any()


@pytest.mark.parametrize(
    "make",
    [
        lambda first, second: tiff(np.stack([first, second]), photometric="minisblack", metadata={"axes": "CYX"}),
        lambda first, second: tiff(
            np.dstack([first, second]), photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
        ),
    ],
    ids=["pages", "samples"],
)
def test_a_mask_that_is_all_in_the_dropped_channel_is_refused_and_not_empty(tmp_path, make):
    with pytest.raises(DatasetError, match="first channel is empty, and a further one, which is not used, is not"):
        case_of(tmp_path, make(white(EMPTY), white(TUMOR))).truth()
    assert not case_of(tmp_path, make(white(EMPTY), white(~EMPTY))).truth().any()
    assert np.array_equal(case_of(tmp_path, make(white(TUMOR), white(EMPTY))).truth(), TUMOR)


def test_a_palette_that_is_transparent_all_over_is_empty(tmp_path):
    assert not case_of(tmp_path, palette(~EMPTY, [255, 0, 0, 0, 0, 0], transparency=1)).truth().any()


@pytest.mark.parametrize(
    ("kind", "quality"),
    # WebP of quality 60 makes a black picture 0 and 1, as classes of 0 and 1 are: that is refused.
    [("jpeg", quality) for quality in (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)] + [("webp", q) for q in (30, 80, 95)],
)
def test_the_quality_of_a_lossy_mask_makes_no_tumor_and_loses_none(tmp_path, kind, quality):
    empty, tumor = (
        case_of(tmp_path, pillow(Image.fromarray(planes(*[white(mask)] * 3)), kind, quality=quality)).truth()
        for mask in (EMPTY, TUMOR & (np.arange(SIDE) < 40))
    )
    assert not empty.any()
    assert np.count_nonzero(tumor != (TUMOR & (np.arange(SIDE) < 40))) < 0.08 * np.count_nonzero(TUMOR)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_classes_of_a_palette_are_its_indices(tmp_path, kind):
    indices = TUMOR.astype(np.uint8)
    indices[25:30, 10:15] = 2
    if kind == "png":
        content = palette(indices, [1, 2, 3, 200, 0, 0, 9, 9, 9])
    else:
        content = tiff(indices, photometric="palette", colormap=np.random.default_rng(1).integers(0, 65536, (3, 256)))
    assert np.array_equal(case_of(tmp_path, content).labels((0, 1, 2)), indices)


def test_classes_keep_their_values_beside_a_transparent_background(tmp_path):
    values = TUMOR * np.uint8(3)
    content = pillow(Image.fromarray(values), transparency=0)
    assert np.array_equal(case_of(tmp_path, content).labels((0, 3)), TUMOR)


REFUSED = {
    "gray JPEG": (
        lambda: pillow(Image.fromarray(np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))), "jpeg"),
        "of what is not black is gray",
    ),
    "three levels in JPEG": (
        lambda: pillow(Image.fromarray(white(TUMOR) // 2 + white(np.roll(TUMOR, 30, axis=1)) // 2), "jpeg"),
        "near 0 and 255",
    ),
    "classes 0 and 1 in JPEG": (lambda: pillow(Image.fromarray(TUMOR.astype(np.uint8) * 2), "jpeg"), "largest is"),
    "gray WebP": (lambda: pillow(Image.fromarray(planes(white(TUMOR) // 2, 0, 0)), "webp", quality=80), "largest is"),
    "NaN": (lambda: tiff(np.where(TUMOR, np.nan, 0).astype(np.float32)), "NaN"),
    "two pages": (lambda: tiff(np.stack([white(TUMOR)] * 2), photometric="minisblack"), "several pages"),
    "animation": (
        lambda: pillow(
            Image.fromarray(white(TUMOR)), save_all=True, append_images=[Image.fromarray(white(EMPTY))], duration=9
        ),
        "several pictures",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mask_that_cannot_be_told_is_refused_with_a_sentence(tmp_path, name):
    write, words = REFUSED[name]
    with pytest.raises(DatasetError, match=words) as error:
        case_of(tmp_path, write()).truth()
    assert "anna/a_mask.png cannot be read" in str(error.value)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_turns_image_and_mask_alike(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"exif": exif} if kind != "tiff" else {"tiffinfo": {274: orientation}}
    if kind == "webp":
        options["lossless"] = True
    content = pillow(Image.fromarray(white(TUMOR)), kind, **options)
    (tmp_path / "a.png").write_bytes(content)
    case = case_of(tmp_path, content)
    pixels, truth = case.pixels(), case.truth()
    assert np.array_equal(pixels[..., 0] >= 128, truth)
    assert truth.sum() == TUMOR.sum() and np.array_equal(truth, TUMOR) == (orientation == 1)
