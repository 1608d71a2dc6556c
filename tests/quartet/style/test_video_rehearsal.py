"""What cannot be written fails before frames are stylized; what is lost is named."""

import re
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from quartet.style import rehearsal
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from quartet.style.rehearsal import rehearse_assembly
from style.videos import KEYS, QUICK, SIZE, write_output, write_video

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


def copy_with(source, target, change, **options):
    """Copy a video, and change its output streams before they are written."""
    with av.open(str(source)) as before, av.open(str(target), "w", **options) as after:
        copies = [after.add_stream_from_template(each, opaque=True) for each in before.streams]
        change(after, copies)
        after.start_encoding()
        for packet in before.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                after.mux(packet)
    return target


def test_tracks_that_the_container_refuses_are_left_out(tmp_path):
    plain = write_video(tmp_path / "plain.mkv", options=KEYS, time_base=Fraction(1, 1000))
    source = tmp_path / "video.mkv"
    with av.open(str(plain)) as before, av.open(str(source), "w") as after:
        copy = after.add_stream_from_template(before.streams.video[0], opaque=True)
        words = after.add_mux_stream("subrip")
        after.start_encoding()
        for number in range(3):
            packet = av.Packet(b"Hello")
            packet.pts = packet.dts = 100 * number
            packet.duration, packet.time_base, packet.stream = 90, Fraction(1, 1000), words
            after.mux(packet)
        for packet in before.demux():
            if packet.size:
                packet.stream = copy
                after.mux(packet)
    plan = plan_video(source, 8)
    # The muxer states that it supports the codec, and refuses its packets.
    tracks = tuple(replace(track, left_out="") for track in plan.tracks)
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

    source = copy_with(plain, tmp_path / "stereo.mkv", arrange)
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

    source = copy_with(plain, tmp_path / "a.mkv", number_frames)
    plan, _ = rehearse_and_write(source, tmp_path)
    assert plan.container == "mp4"
    assert plan.lost == ("video metadata 'TIMECODE'",)
    assert not any(track.left_out for track in plan.tracks)
