"""Decompression of the blocks of an Avro container file, bounded in size.

A block of a few kilobytes may decompress to gigabytes, so each codec stops at `MAX_BLOCK_BYTES`.
https://avro.apache.org/docs/1.12.0/specification/#required-codecs
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

import pyarrow as pa

MAX_BLOCK_BYTES = 512 * 2**20
"""Maximum size of a decompressed block: Event Hubs closes a capture file at 500 MB."""


def decompress(codec: str, data: bytes) -> bytes:
    """Return the content of a block.

    Args:
        codec: The codec in the header of the file: one of `CODECS`.
        data: The block as it is in the file.

    Raises:
        ValueError: The codec is unknown, or the block is incomplete or too large.
        Exception: The block is damaged; each library raises its own.
    """
    if codec not in CODECS:
        raise ValueError(f"its codec is {codec!r}, expected one of {', '.join(CODECS)}")
    content = CODECS[codec](data)
    if len(content) > MAX_BLOCK_BYTES:
        raise _too_large()
    return content


def _too_large() -> ValueError:
    return ValueError(f"a block decompresses to more than {MAX_BLOCK_BYTES:,} bytes")


def _decompress_deflate(data: bytes) -> bytes:
    # Negative: without zlib's header. Some writers omit the final block, so its lack is no error.
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_BLOCK_BYTES + 1)


def _decompress_stream(
    decompressor: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: bytes
) -> bytes:
    content = decompressor.decompress(data, MAX_BLOCK_BYTES + 1)
    if not decompressor.eof and len(content) <= MAX_BLOCK_BYTES:
        raise ValueError("a compressed block is incomplete")
    return content


def _decompress_zstandard(data: bytes) -> bytes:
    content: bytes = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read(
        MAX_BLOCK_BYTES + 1
    )
    return content


def _decompress_snappy(data: bytes) -> bytes:
    """Decompress Snappy's raw format, which begins with the size, and check Avro's CRC-32 of it."""
    compressed, checksum = data[:-4], int.from_bytes(data[-4:], "big")
    size = _read_size(compressed)
    if size > MAX_BLOCK_BYTES:
        raise _too_large()
    content: bytes = pa.decompress(compressed, size, codec="snappy", asbytes=True)
    if zlib.crc32(content) != checksum:
        raise ValueError("the checksum of a block does not match")
    return content


def _read_size(data: bytes) -> int:
    """Read an unsigned integer of at most 32 bits: seven per byte, least significant first."""
    size = 0
    for index, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return size
    raise ValueError("a compressed block has no size")


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": lambda data: data,
    "deflate": _decompress_deflate,
    "snappy": _decompress_snappy,
    "zstandard": _decompress_zstandard,
    "bzip2": lambda data: _decompress_stream(bz2.BZ2Decompressor(), data),
    "xz": lambda data: _decompress_stream(lzma.LZMADecompressor(), data),
}
"""All codecs of the Avro specification, by name."""
