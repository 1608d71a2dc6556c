"""Whether an assembled video shows what the plan says, when it says so, with the same sound."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from tqdm import tqdm

from quartet.style.containers import codec_name
from quartet.style.packets import payload, read_packets
from quartet.style.video import Source, VideoPlan, name_of, opened

_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class _Sound:
    """What an audio stream holds; equal ones sound the same."""

    packets: int
    digest: str
    start: Fraction


@dataclass(frozen=True)
class _Content:
    """What the packets of a video say: seconds from its zero.

    Attributes:
        shown_at: When each frame is shown, ascending.
        end: When the last one ends.
        sounds: The audio streams.
    """

    shown_at: list[Fraction]
    end: Fraction
    sounds: list[_Sound]


def check_video(target: Source, plan: VideoPlan) -> None:
    """Compare a finished video with the plan, packet by packet; nothing is decoded.

    Raises:
        ValueError: Size, number of frames, a presentation timestamp, the duration or the
            sound is not the source's; says which.
        OSError: It cannot be read.
    """
    name = name_of(target)
    with opened(target) as container:
        video = container.streams.video[0]
        if (video.width, video.height) != (plan.width, plan.height):
            raise ValueError(
                f"{name}: is {video.width}×{video.height} pixels large, not "
                f"{plan.width}×{plan.height} as {plan.name}"
            )
        sounds = sum(track.packets for track in plan.tracks if track.kind == "audio")
        content = _read(container, plan.frames + sounds)
    _check_times(name, plan, content)
    _check_sounds(name, plan, content.sounds)


def _read(container: InputContainer, expected: int) -> _Content:
    video = container.streams.video[0]
    codecs = {stream.index: codec_name(stream) for stream in container.streams.audio}
    counts = dict.fromkeys(codecs, 0)
    starts: dict[int, Fraction] = {}
    digests = {index: hashlib.sha256() for index in codecs}
    shown_at = []
    end = Fraction(0)
    packets = tqdm(
        read_packets(container, [video, *container.streams.audio]),
        total=expected,
        desc="checking the result",
        unit="packet",
        disable=None,
        delay=2,
    )
    for packet in packets:
        index = packet.stream.index
        time = (packet.pts or 0) * packet.time_base
        if index == video.index:
            shown_at.append(time)
            end = max(end, time + (packet.duration or 0) * packet.time_base)
        else:
            counts[index] += 1
            digests[index].update(payload(packet, codecs[index]))
            starts[index] = min(time, starts.get(index, time))
    sounds = [
        _Sound(counts[index], digests[index].hexdigest(), starts.get(index, Fraction(0)))
        for index in codecs
    ]
    return _Content(sorted(shown_at), end, sounds)


def _check_times(name: str, plan: VideoPlan, content: _Content) -> None:
    if len(content.shown_at) != plan.frames:
        raise ValueError(
            f"{name}: has {len(content.shown_at)} frames, not {plan.frames} as {plan.name}"
        )
    # Where only a container that counts in milliseconds holds the sound.
    tolerance = _MILLISECOND / 2 if plan.rounds else 0
    for number, found in enumerate(content.shown_at):
        wanted = (plan.timestamps[number] - plan.origin) * plan.tick
        if abs(found - wanted) > tolerance:
            raise ValueError(
                f"{name}: frame {number} is shown at {float(found):.6f} s, not at "
                f"{float(wanted):.6f} s as in {plan.name}"
            )
    end = (plan.end - plan.origin) * plan.tick
    if abs(content.end - end) > 1 / plan.rate:
        raise ValueError(
            f"{name}: ends at {float(content.end):.3f} s, not at {float(end):.3f} s as {plan.name}"
        )


def _check_sounds(name: str, plan: VideoPlan, sounds: list[_Sound]) -> None:
    wanted = [track for track in plan.tracks if track.kind == "audio" and not track.left_out]
    if len(sounds) != len(wanted):
        raise ValueError(f"{name}: has {len(sounds)} audio tracks, not {len(wanted)}")
    for track, sound in zip(wanted, sounds, strict=True):
        if (sound.packets, sound.digest) != (track.packets, track.digest):
            raise ValueError(
                f"{name}: audio track {track.index}, {sound.packets} packets, is not that of "
                f"{plan.name}, {track.packets} packets: has it changed since it was planned?"
            )
        start = Fraction(*track.start) - plan.origin * plan.tick
        if track.packets and abs(sound.start - start) > _MILLISECOND:
            raise ValueError(
                f"{name}: audio track {track.index} begins at {float(sound.start):.4f} s, not at "
                f"{float(start):.4f} s as in {plan.name}"
            )
