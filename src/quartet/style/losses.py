"""What the output cannot contain of its source, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quartet.style.video import Container

_KINDS = {
    "SPHERICAL": "360° view",
    "STEREO3D": "arrangement of two views (stereo)",
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "MASTERING_DISPLAY_METADATA": "HDR mastering data",
    "CONTENT_LIGHT_LEVEL": "HDR mastering data",
}
"""Side data of frames that PyAV cannot write, by FFmpeg's name."""

_FILE_METADATA = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "rotate",
    "software",
    "vendor_id",
}
"""Metadata of the source file itself, not copied; nor are Matroska's statistics."""


def find_lost_side_data(
    kinds: Iterable[str], container: Container, stereo: bool
) -> tuple[str, ...]:
    """Return what frames of the source have and those of the output do not.

    Args:
        kinds: Kinds of side data of the source's frames, by FFmpeg's name.
        container: Container of the output.
        stereo: Whether the source's container states the arrangement of two views; Matroska
            keeps it.
    """
    kept = {"STEREO3D"} if stereo and container == "matroska" else set()
    return tuple(sorted({_KINDS[kind] for kind in kinds if kind in _KINDS and kind not in kept}))


def filter_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata to copy: not that of the file itself."""
    return {
        name: value
        for name, value in metadata.items()
        if name.lower() not in _FILE_METADATA
        and not name.startswith(("DURATION", "BPS", "NUMBER_OF_", "_STATISTICS_"))
    }


def find_lost_metadata(
    source: Mapping[str, str], output: Iterable[str], kind: str
) -> tuple[str, ...]:
    """Return the names of the metadata that the output does not contain, after their kind.

    Args:
        source: Metadata of the source.
        output: Names of the metadata of the output.
        kind: What they describe.
    """
    kept = {name.lower() for name in output}
    lost = (name for name in filter_metadata(source) if name.lower() not in kept)
    return tuple(f"{kind} '{name}'" for name in sorted(lost))
