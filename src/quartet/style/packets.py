"""Read packets from a container and decode them, skipping invalid data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream


def select_video_stream(container: InputContainer, index: int, threads: int) -> VideoStream:
    """Return the video stream with this index, set to decode with `threads` threads."""
    video = next(each for each in container.streams.video if each.index == index)
    video.codec_context.thread_count = threads
    video.codec_context.thread_type = "AUTO"
    return video


def read_packets(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Stream]]:
    """Yield the non-empty packets of these streams in file order; other streams are not read.

    Iteration ends where the structure of the container is broken.

    Raises:
        OSError: The source cannot be read.
    """
    wanted = {stream.index for stream in streams}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in wanted else Discard.all
    try:
        for packet in container.demux(*streams):
            if packet.size:  # An empty packet would flush the decoder.
                yield packet
    except av.InvalidDataError:
        return
    except av.FFmpegError as error:
        if not isinstance(error, OSError):
            raise
        raise OSError(
            error.errno, f"cannot be read: {error.strerror}", container.name.removeprefix("file:")
        ) from error


def try_decode(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame] | None:
    """Return the frames that the decoder outputs for a packet; None if it cannot be decoded.

    Args:
        stream: Stream of the packet.
        packet: Next packet in decoding order; None at the end, to flush the decoder.

    Raises:
        MemoryError: A frame does not fit into memory.
    """
    try:
        return stream.codec_context.decode(packet)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        return None


def decode_packet(stream: VideoStream, packet: Packet[Stream] | None) -> list[VideoFrame]:
    """Return the frames for a packet as `try_decode` does; none if it cannot be decoded."""
    return try_decode(stream, packet) or []


def is_shown(packet: Packet[Stream], codec: str) -> bool:
    """Return whether a video packet gives a displayed frame.

    Frames before the start of an edit list do not, nor do hidden frames of VP8 and VP9, marked
    in their first byte (RFC 6386, section 9.1; VP9 bitstream specification, section 6.2). VP9
    usually joins a hidden frame and the next one in one packet, which ends with an index.
    """
    if packet.is_discard:
        return False
    content = memoryview(packet)
    if codec == "vp8":
        return bool(content[0] & 0x10)
    if codec != "vp9" or content[-1] & 0xE0 == 0xC0:
        return True
    # Two bits of marker, two of profile, a reserved one in profile 3; then: shows an existing
    # frame, frame type, is shown.
    reserved = content[0] & 0x30 == 0x30
    shows_existing, shown = (0x04, 0x01) if reserved else (0x08, 0x02)
    return bool(content[0] & (shows_existing | shown))


def payload(packet: Packet[Stream], codec: str) -> memoryview:
    """Return the content of a packet without the ADTS header that AAC has in transport streams.

    MP4 and Matroska store that information elsewhere, so copying removes the header.
    """
    content = memoryview(packet)
    if codec != "aac" or len(content) < 7 or content[0] != 0xFF or content[1] & 0xF6 != 0xF0:
        return content
    size = (content[3] & 3) << 11 | content[4] << 3 | content[5] >> 5
    # The last packet of a truncated file is shorter than its header states.
    return content[7 if content[1] & 1 else 9 :] if size >= len(content) else content
