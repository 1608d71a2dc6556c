"""Packets out of a container, and frames out of packets, faults of the data passed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream


def video_stream(container: InputContainer, index: int, threads: int) -> VideoStream:
    """The video stream of this index, to be decoded by so many threads."""
    video = next(each for each in container.streams.video if each.index == index)
    video.codec_context.thread_count = threads
    video.codec_context.thread_type = "AUTO"
    return video


def read_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Stream]]:
    """The packets of these streams as they come, empty ones left out, the others not read.

    Where the container's structure breaks off, they end.

    Raises:
        OSError: The source cannot be read any further.
    """
    wanted = {stream.index for stream in streams}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in wanted else Discard.all
    try:
        for packet in container.demux(*streams):
            if packet.size:  # An empty one would tell a decoder that all is over.
                yield packet
    except av.InvalidDataError:
        return
    except av.FFmpegError as error:
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno, f"cannot be read: {error.strerror}", container.name.removeprefix("file:")
        ) from error


def try_decoding(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame] | None:
    """The frames that come out when the packet goes in; None if it cannot be decoded.

    Args:
        stream: Of the packet.
        packet: In the order of decoding; None at the end, for the last frames.

    Raises:
        MemoryError: There is not enough for a frame.
    """
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None


def decode_packet(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame]:
    """As `try_decoding`, but of a packet that cannot be decoded, no frames."""
    return try_decoding(stream, packet) or []


def is_shown(packet: Packet[Stream], codec: str) -> bool:
    """Whether a frame of this video packet is ever shown.

    Frames before the beginning of an edit list are not, nor VP8's reference frames, whose
    first byte says so (RFC 6386, 9.1).
    """
    if packet.is_discard:
        return False
    return codec != "vp8" or bool(memoryview(packet)[0] & 0x10)


def payload(packet: Packet[Stream], codec: str) -> memoryview:
    """The content of a packet, without the head that AAC has in transport streams.

    MP4 and Matroska hold that information elsewhere, so the head is gone after copying.
    """
    content = memoryview(packet)
    if codec != "aac" or len(content) < 7 or content[0] != 0xFF or content[1] & 0xF6 != 0xF0:
        return content
    size = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
    # The last packet of a truncated file is shorter than it says.
    return content[7 if content[1] & 1 else 9 :] if size >= len(content) else content
