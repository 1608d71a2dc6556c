"""A video is read from its own file only, whatever the file refers to."""

import io
import socket

import av
import pytest
from PIL import Image

from quartet.style.demuxers import DEMUXERS
from quartet.style.probe import plan_video
from style.videos import KEYS, write_video

SDP = (
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n%s\n#EXT-X-ENDLIST\n"
DASH = (
    b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    b'mediaPresentationDuration="PT1S"><Period><AdaptationSet><Representation id="1" '
    b'mimeType="video/mp4"><BaseURL>private.mp4</BaseURL></Representation></AdaptationSet>'
    b"</Period></MPD>"
)
REFERENCES = {
    "list.m3u8": HLS % b"private.ts",
    "list.mp4": b"ffconcat version 1.0\nfile private.mp4\n",
    "film.ffconcat": b"ffconcat version 1.0\nfile private.mp4\n",
    "session.sdp": SDP,
    "session.mp4": SDP,
    "manifest.mpd": DASH,
    "picture%d.png": b"",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of files that refer to the videos beside them."""
    write_video(tmp_path / "private.mp4", options=KEYS)
    write_video(tmp_path / "private.ts", options=KEYS)
    for name, content in REFERENCES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("opened", [False, True], ids=["path", "handle"])
def test_files_that_refer_to_others_are_refused(name, opened, folder):
    source = (folder / name).open("rb") if opened else folder / name
    with pytest.raises(ValueError, match=rf"{name}: (its format is not|cannot be read as) a video"):
        plan_video(source, 8)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_no_address_is_requested(name, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = b"http://127.0.0.1:%d/private.ts" % server.getsockname()[1]
        lists = {"list.m3u8": HLS % address, "list.mp4": b"ffconcat version 1.0\nfile " + address}
        for source in (tmp_path / name, io.BytesIO(lists[name])):
            if isinstance(source, io.BytesIO):
                source.name = name
            else:
                source.write_bytes(lists[name])
            with pytest.raises(ValueError, match=name):
                plan_video(source, 8)
        with pytest.raises(TimeoutError):
            server.accept()


def test_formats_are_known_to_ffmpeg_and_open_no_devices():
    names = DEMUXERS.split(",")
    assert len(names) == len(set(names))
    for name in names:
        assert not av.ContainerFormat(name, "r").no_file, name


def save_pictures(path, count):
    frames = [Image.new("RGB", (96, 64), (20 * number, 9, 9)) for number in range(count)]
    frames[0].save(path, "AVIF", save_all=count > 1, append_images=frames[1:], duration=100)
    return path


def test_moving_track_of_a_heif_file_is_stylized(tmp_path):
    """FFmpeg shows the still picture of an animation as the first video stream."""
    plan = plan_video(save_pictures(tmp_path / "a.avif", 6), 8)
    assert (plan.frames, plan.stream) == (6, 1)
    assert [track.left_out for track in plan.tracks] == ["it is a still picture of the animation"]


def test_heif_picture_is_no_video_of_a_second(tmp_path):
    with pytest.raises(ValueError, match=r"a\.heic: is a picture, not a video"):
        plan_video(save_pictures(tmp_path / "a.heic", 1), 8)
