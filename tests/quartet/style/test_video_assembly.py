"""The output contains the segments and the other streams of the source, or is not written."""

import resource
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from av.stream import Disposition

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from style.videos import (
    KEYS,
    QUICK,
    encode_segments,
    make_subtitle,
    pictures,
    read_packets,
    read_times,
    remux,
    write_video,
)


def assemble_video(source, folder, **settings):
    plan = plan_video(source, 8)
    target = folder / f"out{plan.suffix}"
    settings = QUICK.model_copy(update=settings)
    assemble(source, encode_segments(plan, folder), plan, target, settings)
    check_video(target, plan)
    return plan, target


def write_rich(path, *, sounds, subtitle, cover=None, attachment=False):
    """Write a video with audio tracks, a subtitle, chapters, titles, and more if supported."""
    plain = write_video(
        path.with_name("plain.mkv"), options=KEYS, sounds=sounds, time_base=Fraction(1, 1000)
    )
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        copies = {
            stream.index: target.add_stream_from_template(stream, opaque=True)
            for stream in source.streams
        }
        for stream, language in zip(target.streams.audio, ("eng", "deu"), strict=False):
            stream.metadata["language"] = language
        words = target.add_mux_stream(subtitle)
        words.metadata["language"] = "fra"
        words.disposition = Disposition.forced
        if cover:
            picture_of = target.add_stream("mjpeg", rate=1, width=32, height=32)
            picture_of.pix_fmt = "yuvj420p"
            picture_of.disposition = Disposition.attached_pic
        if attachment:
            target.add_attachment("font.ttf", "application/x-truetype-font", b"glyphs")
        target.metadata.update(title="Ein schöner Film", comment="of mine")
        tick = Fraction(1, 1000)
        chapters = [("A", 0, 400), ("B", 400, 960)]
        target.set_chapters(
            [
                {
                    "id": end,
                    "start": start,
                    "end": end,
                    "time_base": tick,
                    "metadata": {"title": name},
                }
                for name, start, end in chapters
            ]
        )
        target.start_encoding()
        if cover:
            target.mux(picture_of.encode(av.VideoFrame(32, 32, "yuvj420p")))
            target.mux(picture_of.encode(None))
        for number, text in enumerate((b"Hello", b"Good bye")):
            head = len(text).to_bytes(2, "big") if subtitle == "mov_text" else b""
            target.mux(make_subtitle(words, head + text, 100 + 400 * number, 300))
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return path


@pytest.mark.parametrize(
    ("name", "sounds", "subtitle"),
    [
        ("rich.mp4", ["aac", "ac3"], "mov_text"),
        ("rich.mov", ["aac", "pcm_s16le"], "mov_text"),
        ("rich.mkv", ["aac", "flac"], "subrip"),
    ],
)
def test_tracks_and_titles_are_copied(name, sounds, subtitle, tmp_path):
    source = write_rich(tmp_path / name, sounds=sounds, subtitle=subtitle)
    plan, target = assemble_video(source, tmp_path)
    assert [track.kind for track in plan.copied_tracks] == ["audio", "audio", "subtitle"]
    assert target.suffix == source.suffix
    for track in (0, 1):
        before, after = (read_packets(path, "audio", track) for path in (source, target))
        assert [bytes(packet) for packet in before] == [bytes(packet) for packet in after]
        assert before[0].pts * before[0].time_base == after[0].pts * after[0].time_base
    subtitles = [
        [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in read_packets(path, "subtitles")
        ]
        for path in (source, target)
    ]
    assert subtitles[0] == subtitles[1]
    assert b"Hello" in b"".join(text for text, _ in subtitles[0])
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert after.metadata["title"] == "Ein schöner Film"
        kept = {name.lower(): value for name, value in after.metadata.items()}
        assert kept["comment"] == "of mine"
        assert [stream.language for stream in after.streams] == [
            stream.language for stream in before.streams
        ]
        assert after.streams.subtitles[0].disposition == before.streams.subtitles[0].disposition
        assert [
            (chapter["start"] * chapter["time_base"], chapter["metadata"]["title"])
            for chapter in after.chapters()
        ] == [(0, "A"), (Fraction(2, 5), "B")]


def test_cover_is_copied(tmp_path):
    source = write_rich(tmp_path / "rich.mp4", sounds=["aac"], subtitle="mov_text", cover=True)
    plan, target = assemble_video(source, tmp_path)
    assert [track.kind for track in plan.copied_tracks] == ["audio", "subtitle", "video"]
    with av.open(str(target)) as container:
        covers = [
            stream
            for stream in container.streams.video
            if stream.disposition & Disposition.attached_pic
        ]
        assert [stream.codec.canonical_name for stream in covers] == ["mjpeg"]
    assert read_packets(target, "video", 1)[0].size == read_packets(source, "video", 1)[0].size


def test_fonts_are_copied(tmp_path):
    source = write_rich(tmp_path / "rich.mkv", sounds=["aac"], subtitle="ass", attachment=True)
    plan, target = assemble_video(source, tmp_path)
    assert [track.kind for track in plan.copied_tracks] == ["audio", "subtitle", "attachment"]
    with av.open(str(target)) as container:
        (font,) = container.streams.attachments
        assert (font.name, font.data) == ("font.ttf", b"glyphs")


def write_with_track(path, codec, content):
    """Write a transport stream with another track of one packet."""
    plain = write_video(path.with_name("plain.ts"), options=KEYS, sounds=["aac"], rate=30)

    def add_track(output, _):
        packet = av.Packet(content)
        packet.pts = packet.dts = 10_000
        packet.time_base = Fraction(1, 90_000)
        packet.stream = output.add_mux_stream(codec, rate=48_000)
        return [packet]

    return remux(plain, path, add_track)


def test_unsupported_tracks_are_reported(tmp_path):
    blank = bytes([0x0F, 0x10, 0, 1, 0, 2, 1, 0])
    plan, _ = assemble_video(write_with_track(tmp_path / "video.ts", "dvbsub", blank), tmp_path)
    assert plan.container == "mp4", "Matroska would round the times"
    assert [(track.kind, track.left_out) for track in plan.tracks if track.left_out] == [
        ("subtitle", "mp4 does not support dvb_subtitle")
    ]


def test_audio_without_a_container_raises(tmp_path):
    source = write_with_track(tmp_path / "video.ts", "s302m", bytes([0, 8, 0, 0, *range(8)]))
    with pytest.raises(ValueError, match=r"video\.ts: no container supports .* audio in s302m;"):
        plan_video(source, 8)


def test_matroska_rounds_timestamps_to_milliseconds(tmp_path):
    rate = Fraction(30_000, 1001)
    source = write_video(
        tmp_path / "video.nut", options=KEYS, rate=rate, time_base=1 / rate, sounds=["vorbis"]
    )
    plan, target = assemble_video(source, tmp_path)
    assert (plan.container, plan.rounds_timestamps) == ("matroska", True)
    pairs = zip(read_times(target), read_times(source), strict=True)
    assert max(abs(after - before) for after, before in pairs) == Fraction(1, 2000)


def test_nut_is_the_last_resort(tmp_path):
    source = write_video(tmp_path / "video.wmv", codec="wmv2", container="asf", sounds=["wmav2"])
    plan, target = assemble_video(source, tmp_path)
    assert (plan.container, target.suffix) == ("nut", ".nut")
    assert not plan.rounds_timestamps


def test_empty_tracks_are_left_out(tmp_path):
    plain = write_video(tmp_path / "plain.mkv", options=KEYS)

    def add_empty_track(output, _):
        output.add_stream("pcm_s16le", rate=48_000)

    source = remux(plain, tmp_path / "silent.mkv", add_empty_track)
    plan, _ = assemble_video(source, tmp_path)
    assert [(track.kind, track.left_out) for track in plan.tracks if track.left_out] == [
        ("audio", "it is empty")
    ]


def test_sample_aspect_ratio_is_kept(tmp_path):
    source = write_video(tmp_path / "video.mkv", options=KEYS, sample_aspect_ratio=Fraction(4, 3))
    _, target = assemble_video(source, tmp_path)
    with av.open(str(target)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_long_first_frame_causes_no_delay(tmp_path):
    times = [0, *range(900_000, 900_000 + 23 * 3600, 3600)]
    source = write_video(
        tmp_path / "video.mp4", time_base=Fraction(1, 90_000), timestamps=times, options=KEYS
    )
    _, target = assemble_video(source, tmp_path)
    assert read_packets(target)[0].dts * read_packets(target)[0].time_base > -2


@pytest.mark.parametrize("fast_start", [True, False])
def test_fast_start_puts_the_index_first(fast_start, tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS, sounds=["aac"])
    _, target = assemble_video(source, tmp_path, fast_start=fast_start)
    content = target.read_bytes()
    assert (content.index(b"moov") < content.index(b"mdat")) == fast_start


def test_every_key_frame_is_seekable(tmp_path):
    source = write_video(tmp_path / "video.mp4", options=KEYS, sounds=["aac"])
    _, target = assemble_video(source, tmp_path)
    assert plan_video(target, 8).keys == (0, 8, 16)
    decoding = [packet.dts for packet in read_packets(target)]
    assert all(earlier < later for earlier, later in pairwise(decoding))


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "video.mp4", options=KEYS, sounds=["aac"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["segment0", "segment0", "segment16"],
            "segment0: expected frames 8 to 15 of video",
        ),
        (["segment0", "segment8", "short"], "short: expected frames .* found 4 frames"),
        (["segment0", "other", "segment16"], "other: expected frames"),
        (
            ["segment0", "coarse", "segment16"],
            "the segment that starts at frame 8 was encoded with other",
        ),
        (["segment0", "noise", "segment16"], "noise: cannot be read as a video"),
    ],
)
def test_wrong_segments_raise(names, message, video, tmp_path):
    plan = plan_video(video, 8)
    encode_segments(plan, tmp_path)
    short = replace(plan, segments=((16, 20),))
    encode_segment(tmp_path / "short", short, 16, pictures(16, 20), QUICK)
    other = replace(plan, fingerprint="other")
    encode_segment(tmp_path / "other", other, 8, pictures(8, 16), QUICK)
    coarse = Encoding(preset="veryslow")
    encode_segment(tmp_path / "coarse", plan, 8, pictures(8, 16), coarse)
    (tmp_path / "noise").write_bytes(b"noise" * 100)
    target = tmp_path / "out.mp4"
    target.write_text("from before")
    with pytest.raises(ValueError, match=message):
        assemble(video, [tmp_path / name for name in names], plan, target, QUICK)
    assert target.read_text() == "from before"
    assert not list(tmp_path.glob(".*part"))


def test_full_disk_keeps_the_previous_file(video, tmp_path):
    plan = plan_video(video, 8)
    segments = encode_segments(plan, tmp_path)
    target = tmp_path / "out.mp4"
    target.write_text("from before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    total = sum(segment.stat().st_size for segment in segments)
    for size in (500, total // 2, total):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            with pytest.raises(OSError, match=r"cannot be written .*out\.mp4"):
                assemble(video, segments, plan, target, QUICK)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert target.read_text() == "from before"
        assert not list(tmp_path.glob(".*part"))


def test_check_reports_differences(video, tmp_path):
    plan, target = assemble_video(video, tmp_path)
    later = replace(plan, timestamps=(*plan.timestamps[:-1], plan.timestamps[-1] + 1))
    fewer = replace(plan, timestamps=plan.timestamps[:-1])
    sound = replace(plan, tracks=(replace(plan.tracks[0], digest="0"),))
    early = replace(plan, tracks=(replace(plan.tracks[0], start=(-1, 2)),))
    for other, message in {
        fewer: "has 24 frames, expected 23",
        later: r"frame 23 is shown at 0\.920000 s, expected 0\.920078 s",
        replace(plan, end=plan.end + 2000): r"ends at 0\.960 s, expected 1\.116 s",
        replace(plan, width=64): "size is 96×64 pixels, expected 64×64",
        sound: r"audio track 1 \(\d+ packets\) differs from that of video\.mp4",
        early: r"audio track 1 starts at -0\.0213 s, expected -0\.5000 s",
        replace(plan, tracks=()): "has 1 audio tracks, expected 0",
    }.items():
        with pytest.raises(ValueError, match=rf"out\.mp4: {message}"):
            check_video(target, other)
