"""Where the real clip lies."""

import os
from pathlib import Path

import pytest

from support import ROOT, skip_or_fail


@pytest.fixture(scope="session")
def real_clip() -> Path:
    """Five seconds of a real film: $QUARTET_REAL_DATA/video/bigbuckbunny_720p_5s.mp4."""
    data = Path(os.environ.get("QUARTET_REAL_DATA", ROOT.parent / "shared/data"))
    clip = data / "video/bigbuckbunny_720p_5s.mp4"
    if not clip.exists():
        skip_or_fail(f"{clip.name} is not here: set QUARTET_REAL_DATA to the folder above video")
    return clip.resolve()
