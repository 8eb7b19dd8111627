"""The figures that were drawn of a run, made small, as its gallery in a notebook."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

WIDTH: Final = 220  # pixels, of every picture on the page
_SHARP: Final = 2  # pixels of a sharp screen to each of them
_MAX_PIXELS: Final = 50_000_000  # as no figure has, so that no file takes all memory
_COLOURS: Final = 64  # of a figure's few


class Thumbnail(NamedTuple):
    """The name of a figure, and a small PNG of it."""

    name: str
    png: bytes


def thumbnails(folder: Path, limit: int) -> tuple[list[Thumbnail], int]:
    """The first `limit` figures in a folder by name, and how many more there are.

    Only PNG files are looked at. Each is read as a picture and written anew, so that nothing else
    of a file comes into a page; what cannot be read as one is passed over.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".png")
    except OSError:
        return [], 0
    small = [Thumbnail(file.stem, png) for file in files[:limit] if (png := _small(file))]
    return small, max(0, len(files) - limit)


def _small(file: Path) -> bytes | None:
    """A picture of `WIDTH`; None where the file is none."""
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                return None
            width = min(_SHARP * WIDTH, picture.width)
            height = max(1, round(picture.height * width / picture.width))
            shrunk = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    content = io.BytesIO()
    shrunk.quantize(_COLOURS).save(content, "png", optimize=True)
    return content.getvalue()
