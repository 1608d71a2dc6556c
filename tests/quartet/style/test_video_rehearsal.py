"""Videos of any make are stylized completely, or refused before work begins; losses are named."""

import re
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from quartet.style import rehearsal
from quartet.style.decode import decode_frames
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from quartet.style.rehearsal import rehearse_assembly
from style.videos import (
    KEYS,
    QUICK,
    SIZE,
    make_subtitle,
    read_packets,
    remux,
    write_output,
    write_video,
)

QUICKTIME = {
    "com.apple.quicktime.location.ISO6709": "+48.1-011.5/",
    "com.apple.quicktime.creationdate": "2020-01-01T10:00:00+0100",
}


def rehearse(source, folder, settings=QUICK, **changes):
    plan = replace(plan_video(source, 8), **changes)
    return rehearse_assembly(source, plan, folder / f"rehearsal{plan.suffix}", settings)


def rehearse_and_write(source, folder, settings=QUICK):
    plan = rehearse(source, folder, settings)
    return plan, write_output(source, plan, folder, settings)


@pytest.mark.parametrize("preset", ["veryfast", "medium"])
@pytest.mark.parametrize("suffix", [".avi", ".wmv"])
def test_nut_keeps_times_with_usual_presets(suffix, preset, tmp_path):
    """It stores no negative times, which frames that refer to later ones would have."""
    source = write_video(
        tmp_path / f"video{suffix}",
        codec="mpeg4" if suffix == ".avi" else "wmv2",
        container="avi" if suffix == ".avi" else "asf",
        sounds=["wmav2"],
    )
    plan, _ = rehearse_and_write(source, tmp_path, Encoding(preset=preset))
    assert plan.container == "nut"


def test_sound_before_zero_is_kept_in_nut(tmp_path, monkeypatch):
    from quartet.style import probe

    choose = probe.choose_container
    monkeypatch.setattr(
        probe, "choose_container", lambda *args, **options: ("nut", choose(*args, **options)[1])
    )
    source = write_video(tmp_path / "a.mp4", options=KEYS, sounds=["aac"], sound_delay=-0.1)
    plan, _ = rehearse_and_write(source, tmp_path)
    assert plan.tracks[0].start[0] < 0


def test_tracks_that_the_container_refuses_are_left_out(tmp_path):
    plain = write_video(tmp_path / "plain.mkv", options=KEYS, time_base=Fraction(1, 1000))

    def add_subtitles(output, _):
        words = output.add_mux_stream("subrip")
        return [make_subtitle(words, b"Hello", 100 * number, 90) for number in range(3)]

    source = remux(plain, tmp_path / "video.mkv", add_subtitles)
    # The muxer states that it supports the codec, and refuses its packets.
    tracks = tuple(replace(track, left_out="") for track in plan_video(source, 8).tracks)
    refused = rehearse(source, tmp_path, container="mp4", tracks=tracks)
    (track,) = refused.tracks
    assert track.left_out.startswith("mp4 refuses it (")


def test_refused_sound_raises(tmp_path):
    source = write_video(tmp_path / "a.avi", codec="mpeg4", sounds=["wmav2"])
    tracks = tuple(replace(track, left_out="") for track in plan_video(source, 8).tracks)
    with pytest.raises(ValueError, match=r"a\.avi: mp4 refuses audio track 1 \(wmav2: .*\); con"):
        rehearse(source, tmp_path, container="mp4", tracks=tracks)


def test_full_disk_is_no_property_of_the_source(tmp_path, monkeypatch):
    def fill_disk(*_, **__):
        raise OSError(28, "No space left on device", "a.mp4")

    source = write_video(tmp_path / "a.mp4", options=KEYS)
    monkeypatch.setattr(rehearsal, "assemble", fill_disk)
    with pytest.raises(OSError, match="No space left on device"):
        rehearse(source, tmp_path)


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_place_and_date_of_phones_are_kept(suffix, tmp_path):
    source = write_video(
        tmp_path / f"video{suffix}",
        options=KEYS,
        metadata={**QUICKTIME, "title": "Holiday"},
        container_options={"movflags": "use_metadata_tags"},
    )
    plan, target = rehearse_and_write(source, tmp_path)
    with av.open(str(target)) as container:
        assert QUICKTIME.items() <= container.metadata.items()
        assert container.metadata["title"] == "Holiday"
    assert not plan.lost


def test_metadata_that_the_container_does_not_keep_are_named(tmp_path):
    source = write_video(
        tmp_path / "a.mkv", options=KEYS, metadata={"title": "Holiday", "CAMERA_SERIAL": "7"}
    )
    plan, target = rehearse_and_write(source, tmp_path)
    assert plan.container == "mp4"
    assert plan.lost == ("metadata 'CAMERA_SERIAL'",)
    with av.open(str(target)) as container:
        assert container.metadata["title"] == "Holiday"


def test_views_stay_side_by_side_in_matroska(tmp_path):
    plain = write_video(tmp_path / "plain.mkv", options=KEYS, sounds=["aac"])

    def arrange(_, copies):
        copies[0].metadata["stereo_mode"] = "left_right"

    source = remux(plain, tmp_path / "stereo.mkv", arrange)
    plan, target = rehearse_and_write(source, tmp_path)
    assert (plan.container, plan.lost) == ("matroska", ())
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["stereo_mode"] == "left_right"


def test_views_in_the_stream_are_named_as_lost(tmp_path):
    source = write_video(tmp_path / "a.mp4", options={**KEYS, "x264-params": "frame-packing=3"})
    assert rehearse(source, tmp_path).lost == ("arrangement of two views (stereo)",)


def insert_into_track(path, box):
    """Append a box to the only track of an MP4 file whose index is at its end."""
    content = bytearray(path.read_bytes())
    moov, trak = content.index(b"moov") - 4, content.index(b"trak") - 4
    assert content.index(b"mdat") < moov
    end = trak + int.from_bytes(content[trak : trak + 4], "big")
    for place in (moov, trak):
        size = int.from_bytes(content[place : place + 4], "big") + len(box)
        content[place : place + 4] = size.to_bytes(4, "big")
    content[end:end] = box
    path.write_bytes(content)


def test_360_degrees_are_named_as_lost(tmp_path):
    source = write_video(tmp_path / "a.mp4", options=KEYS)
    xml = (
        b'<?xml version="1.0"?><rdf:SphericalVideo '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
        b"<GSpherical:Spherical>true</GSpherical:Spherical>"
        b"<GSpherical:StitchingSoftware>none</GSpherical:StitchingSoftware>"
        b"<GSpherical:Stitched>true</GSpherical:Stitched>"
        b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>"
        b"</rdf:SphericalVideo>"
    )
    uuid = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
    insert_into_track(source, (24 + len(xml)).to_bytes(4, "big") + b"uuid" + uuid + xml)
    assert rehearse(source, tmp_path).lost == ("360° view",)


def test_closed_captions_are_named_as_lost(tmp_path):
    source = write_video(tmp_path / "a.h264", options={**KEYS, "bf": "0"})
    captions = bytes.fromhex("b5003147413934") + b"\x03\xc1\xff\xfc\x94\x20\xff"
    message = b"\0\0\0\1\x06\x04" + bytes([len(captions)]) + captions + b"\x80"
    content = re.sub(
        rb"\x00\x00(?:\x00)?\x01(?=[\x25\x65\x21\x41\x01\x05])",
        lambda start: message + start[0],
        source.read_bytes(),
    )
    source.write_bytes(content)
    assert rehearse(source, tmp_path).lost == ("closed captions",)


def crc(section):
    """Return the CRC-32 of MPEG-2 systems."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def test_sound_of_another_program_is_left_out(tmp_path):
    """A recording of two television channels has one video of each, with its own sound."""
    parts = []
    for number in (1, 2):
        size = SIZE if number == 1 else (48, 32)
        path = write_video(
            tmp_path / f"{number}.ts",
            options=KEYS,
            sounds=["aac"],
            size=size,
            container_options={
                "mpegts_service_id": str(number),
                "mpegts_pmt_start_pid": str(0x1000 * number // 2 + 0x100),
                "mpegts_start_pid": str(0x100 + 0x40 * number),
            },
        )
        content = path.read_bytes()
        packets = [content[place : place + 188] for place in range(0, len(content), 188)]
        # Without the tables of programs and services, of which there must be one.
        parts += [packet for packet in packets if packet[1] & 0x1F or packet[2] not in (0, 0x11)]
    programs = b"".join(
        number.to_bytes(2, "big") + (0xE000 | 0x1000 * number // 2 + 0x100).to_bytes(2, "big")
        for number in (1, 2)
    )
    section = b"\x00" + (0xB000 | len(programs) + 9).to_bytes(2, "big") + b"\0\1\xc1\0\0" + programs
    table = b"\x47\x40\x00\x10\x00" + section + crc(section)
    source = tmp_path / "channels.ts"
    source.write_bytes(table.ljust(188, b"\xff") + b"".join(parts))
    plan = plan_video(source, 8)
    assert (plan.width, plan.height) == SIZE
    reasons = sorted((track.kind, track.left_out) for track in plan.tracks)
    other = "it belongs to another program"
    assert reasons == [("audio", ""), ("audio", other), ("video", other)]


@pytest.mark.parametrize("sounds", [[], ["aac"]])
def test_timecode_that_contradicts_the_frame_rate_is_named_as_lost(sounds, tmp_path):
    """A drop-frame timecode needs a rate near 30, which a variable one may miss."""
    plain = write_video(
        tmp_path / "plain.mkv",
        rate=15,
        time_base=Fraction(1, 1000),
        options=KEYS,
        sounds=sounds,
    )

    def number_frames(_, copies):
        copies[0].metadata["timecode"] = "01:02:03;04"

    source = remux(plain, tmp_path / "a.mkv", number_frames)
    plan, _ = rehearse_and_write(source, tmp_path)
    assert plan.container == "mp4"
    assert plan.lost == ("video metadata 'TIMECODE'",)
    assert not any(track.left_out for track in plan.tracks)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # Packets without a duration: MP4 would not play the last one.
        ("a.mkv", {"sounds": ["alac"]}),
        ("a.flv", {"codec": "flv", "sounds": ["flac"]}),
        # QuickTime divides uncompressed audio into other packets.
        (
            "a.mxf",
            {"codec": "mpeg2video", "sounds": ["pcm_s16le"], "rate": Fraction(30_000, 1001)},
        ),
    ],
)
def test_sound_is_copied_completely(name, options, tmp_path):
    source = write_video(tmp_path / name, options={"g": "8"}, **options)
    _, target = rehearse_and_write(source, tmp_path)
    original, copied = (
        b"".join(bytes(packet) for packet in read_packets(path, "audio"))
        for path in (source, target)
    )
    assert original
    assert copied == original


def test_sound_that_the_container_changes_is_refused_before_frames_are_stylized(tmp_path):
    source = write_video(tmp_path / "a.nut", codec="mpeg4", sounds=["wavpack"])
    with pytest.raises(ValueError, match=r"a\.nut: matroska refuses audio track 1 \(wavpack: it c"):
        rehearse(source, tmp_path)


@pytest.mark.parametrize(("rate", "frames"), [(Fraction(1, 2), 12), (Fraction(1, 60), 3)])
def test_slow_matroska_is_no_concatenated_recording(rate, frames, tmp_path):
    source = write_video(tmp_path / "a.mkv", frames, rate=rate, options=KEYS, sounds=["vorbis"])
    plan, target = rehearse_and_write(source, tmp_path)
    assert plan.frames == frames
    with av.open(str(target)) as container:
        assert container.duration / 1_000_000 == pytest.approx(frames / rate, rel=0.01)


def write_transparent(path, codec, pixel_format):
    """Write frames of which the left half is transparent, with hidden colours."""
    pixels = np.full((32, 48, 4), (10, 200, 30, 255), np.uint8)
    pixels[:, :24] = (90, 20, 60, 0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, width=48, height=32)
        stream.pix_fmt = pixel_format
        for _ in range(8):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.apng", "apng", "rgba"),
        ("a.mov", "qtrle", "argb"),
        ("b.mov", "png", "rgba"),
        ("c.mov", "prores_ks", "yuva444p10le"),
    ],
)
def test_transparent_pixels_are_white_instead_of_hidden_colours(
    name, codec, pixel_format, tmp_path
):
    source = write_transparent(tmp_path / name, codec, pixel_format)
    plan = plan_video(source, 8)
    for frame in decode_frames(source, plan, 0, 8):
        assert frame.rgb[:, :20].min() > 250
        assert abs(frame.rgb[16, 36].astype(int) - (10, 200, 30)).max() < 10
    assert plan.lost == ("transparency, which becomes white",)


def test_unused_fourth_channel_is_no_transparency(tmp_path):
    pixels = np.full((32, 48, 4), (10, 200, 30, 0), np.uint8)
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        stream = output.add_stream("qtrle", rate=25, width=48, height=32)
        stream.pix_fmt = "argb"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        output.mux(stream.encode(None))
    plan = plan_video(tmp_path / "a.mov", 8)
    (frame,) = decode_frames(tmp_path / "a.mov", plan, 0, 1)
    assert tuple(frame.rgb[16, 24]) == (10, 200, 30)
    assert not plan.lost


def test_timecode_that_the_output_contains_is_not_named_as_lost(tmp_path):
    source = write_video(
        tmp_path / "a.mkv", options=KEYS, sounds=["aac"], metadata={"timecode": "01:02:03:04"}
    )
    plan, target = rehearse_and_write(source, tmp_path)
    assert plan.container == "mp4"
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
    assert not plan.lost
