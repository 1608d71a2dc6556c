"""Headers of picture files: what a file contains, read from its content before decoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from PIL import Image

# Checked below against a limit that the catalog sets, which Pillow's own one would cap.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read, by Pillow's names; others run programs, such as Ghostscript for EPS."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif",
    ".tif", ".tiff", ".jp2", ".j2k", ".ppm", ".pgm",
)  # fmt: skip
"""Suffixes of these formats."""

_UNSUPPORTED_SUFFIXES = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
        "raw camera data",
    ),
    ".jxl": "JPEG XL",
    ".psd": "Photoshop",
    ".svg": "SVG",
    ".eps": "EPS",
}
_OTHER_SUFFIXES = {
    **dict.fromkeys((".tga", ".icb", ".vda"), "Targa"),
    **dict.fromkeys((".sgi", ".rgb", ".bw"), "SGI"),
    **dict.fromkeys((".ico", ".cur", ".icns"), "icons"),
    **dict.fromkeys((".fit", ".fits"), "FITS"),
    **dict.fromkeys((".wmf", ".emf"), "Windows metafiles"),
    ".bpg": "BPG", ".dds": "DirectDraw surfaces", ".dpx": "DPX", ".exr": "OpenEXR",
    ".hdr": "Radiance HDR", ".pcx": "PCX", ".pdf": "PDF", ".qoi": "QOI", ".xbm": "XBM",
    ".xcf": "GIMP", ".xpm": "XPM",
}  # fmt: skip
"""Formats by suffix, for messages about files that are neither in `FORMATS` nor a video."""
PICTURE_SUFFIXES = (*SUFFIXES, *_UNSUPPORTED_SUFFIXES)
"""Suffixes of all pictures, including those of formats that are not read."""

_UNSUPPORTED_STARTS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "Photoshop",
    b"FUJIFILMCCD-RAW": "raw camera data",
    b"%!PS-Adobe": "EPS",
}
_VIDEO_STARTS = (b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"\x30\x26\xb2\x75", b"\0\0\x01\xba")
"""Matroska, Ogg, Flash, Windows Media and program streams."""
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_SEQUENCE_BRANDS = {b"hevc", b"hevx", b"msf1"}
_HEIF_PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
                  b"mif1": "HEIF", b"mif2": "HEIF", b"crx ": "raw camera data"}  # fmt: skip
_UNSUPPORTED_MESSAGE = "{} cannot be read; export it as JPEG or PNG"
_SUBFILE_TYPE, _COPY_OR_MASK = 254, 0b101
"""TIFF's tag of a page, and its bits of a reduced copy and of a mask."""
_ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
"""Formats whose further pictures are an animation; in others they are pages or previews."""

MAX_MEGAPIXELS = 178.9
"""Default limit, that of Pillow: a small file can declare more pixels than memory holds."""


@dataclass(frozen=True)
class PictureHeader:
    """Content of a picture file according to its header.

    Attributes:
        format: Pillow's name of the format; empty for a damaged picture.
        frames: Number of pictures that follow each other in time; 1 for a still picture.
        pages: Number of pages of a TIFF file, without reduced copies of them.
    """

    format: str
    frames: int
    pages: int = 1


def read_header(file: BinaryIO, name: str, max_megapixels: float) -> PictureHeader | None:
    """Return what a file contains; None if it is not a picture.

    A file that is neither a picture nor a video is a damaged picture if its suffix is one of a
    picture; of a damaged GIF, FFmpeg decodes what is left.

    Args:
        file: File, open at its start.
        name: Name of the file; its suffix decides only where the content does not.
        max_megapixels: Most pixels of a picture, in millions.

    Raises:
        ValueError: It is a picture that cannot be read; the message is the reason.
    """
    start, suffix = file.read(256), PurePosixPath(name).suffix.lower()
    if kind := _find_unsupported(start, suffix):
        raise ValueError(_UNSUPPORTED_MESSAGE.format(kind))
    file.seek(0)
    try:
        picture = Image.open(file, formats=FORMATS)
        frames = getattr(picture, "n_frames", 1) if picture.format in _ANIMATED else 1
        pages = _count_pages(picture) if picture.format == "TIFF" else 1
    except Exception:  # decoders raise any exception on damaged files
        if (other := _OTHER_SUFFIXES.get(suffix)) and not _is_video(start):
            raise ValueError(_UNSUPPORTED_MESSAGE.format(other)) from None
        damaged = suffix in PICTURE_SUFFIXES and suffix != ".gif" and not _is_video(start)
        return PictureHeader("", 1) if damaged else None
    check_size(picture, max_megapixels)
    return PictureHeader(str(picture.format), frames, pages)


def _count_pages(picture: Any) -> int:
    """Return the number of pages of a TIFF file."""
    pages = 0
    for index in range(picture.n_frames):
        picture.seek(index)
        pages += not picture.tag_v2.get(_SUBFILE_TYPE, 0) & _COPY_OR_MASK
    picture.seek(0)
    return max(1, pages)


def check_size(picture: Image.Image, max_megapixels: float) -> None:
    """Check the size of a picture, which is known before it is decoded.

    Raises:
        ValueError: It has more pixels than the limit.
    """
    width, height = picture.size
    if width * height > max_megapixels * 1e6:
        raise ValueError(
            f"{width}×{height} pixels exceed limit of {max_megapixels:g} megapixels; scale it "
            "down, or raise max_megapixels"
        )


def _is_video(start: bytes) -> bool:
    transport_stream = start[0:1] == start[188:189] == b"G"
    named = start[4:8] == b"ftyp" or start[8:12] == b"AVI "
    return named or transport_stream or start.startswith(_VIDEO_STARTS)


def _find_unsupported(start: bytes, suffix: str) -> str:
    """Return the name of a picture format that is not read; empty for any other content."""
    for signature, kind in _UNSUPPORTED_STARTS.items():
        if start.startswith(signature):
            return kind
    if start[4:8] == b"ftyp":
        end = min(len(start), int.from_bytes(start[:4], "big"))
        brands = {start[8:12], *(start[place : place + 4] for place in range(16, end, 4))}
        if brands & _AVIF_BRANDS or brands & _HEIF_SEQUENCE_BRANDS:
            return ""
        return _HEIF_PICTURE_BRANDS.get(start[8:12], "")
    # Raw data are often TIFF, of which Pillow would read a small preview.
    kind = _UNSUPPORTED_SUFFIXES.get(suffix, "")
    return kind if start[:2] in (b"II", b"MM") or kind in ("SVG", "EPS") else ""
