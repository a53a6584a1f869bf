"""Open video files with limits on the frame size, and decode selected packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError, SizeError
from ffpp_tools.files import regular_file

if TYPE_CHECKING:
    import av

MOV = "mov,mp4,m4a,3gp,3g2,mj2"  # FFmpeg's name of the MP4 family
# FFmpeg applies its limit to frames padded on the right, by fewer pixels than this in total.
PADDING = 64 * 32768
PICTURE_LIMIT = "raise it with --max-pixels if you trust the file"


def open_container(path: Path, max_pixels: int, strict: bool = True) -> av.container.InputContainer:
    """Open a video file with decoders that reject frames above the limit.

    Args:
        path: video file.
        max_pixels: maximum width × height of a frame.
        strict: decoders report errors instead of concealing them.
    """
    import av

    # The limit applies here too: FFmpeg decodes the first frames to determine the format.
    limit = {"max_pixels": str(max_pixels + PADDING)}
    container = av.open(str(regular_file(path)), metadata_errors="replace", options=limit)
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = limit | ({"err_detect": "explode"} if strict else {})
            stream.thread_type = "NONE"  # clips are decoded in parallel processes instead
    return container


def video_stream(
    container: av.container.InputContainer, path: Path, max_pixels: int
) -> av.VideoStream:
    """Return the first video stream, which is the one that is decoded.

    Raises:
        DecodeError: there is no video stream, or no decoder for it.
        SizeError: the stream declares frames of more pixels than the limit.
    """
    if not container.streams.video:
        raise DecodeError(f"{path}: contains no video stream")
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None:
        raise DecodeError(f"{path}: not a readable video (no decoder for its codec)")
    if codec.width * codec.height > max_pixels:
        raise SizeError(f"{path}: {too_large(codec.width, codec.height, max_pixels)}")
    return stream


def too_large(width: int, height: int, limit: int) -> str:
    """Return the message for an image or video frame above the pixel limit."""
    return (
        f"declares {width} × {height} = {width * height:,} pixels, more than the limit of "
        f"{limit:,}; {PICTURE_LIMIT}"
    )


def decoded_frames(
    container: av.container.InputContainer, stream: av.VideoStream, needed: Iterable[int]
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Yield each frame that the decoder outputs, with the position of its packet.

    The frame is None if its packet could not be decoded. Only the packets at the positions `needed`
    are decoded, and reading stops after the last of them. A frame's `dts` is set to the position of
    the packet after which the decoder output it; None if that was at the end of the stream.
    """
    import av

    positions = iter(needed)
    next_needed = next(positions, -1)
    packets = (packet for packet in container.demux(stream) if packet.size)
    try:
        for position, packet in enumerate(packets if next_needed >= 0 else ()):
            if position == next_needed:
                # Decoders copy a packet's pts to its frame, in whatever order frames are output,
                # and to the frame's dts that of the packet after which it is output.
                packet.pts = packet.dts = position
                yield from _decode(stream, packet, position)
                next_needed = next(positions, -1)
                if next_needed < 0:
                    break
    except av.FFmpegError:  # the rest of the file is unreadable; flush the decoder all the same
        pass
    yield from _decode(stream, None, -1)


def _decode(
    stream: av.VideoStream, packet: av.Packet[av.VideoStream] | None, position: int
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Yield the frames that the decoder outputs for a packet; a packet of None flushes it."""
    import av

    try:
        for frame in stream.decode(packet):
            yield (-1 if frame.pts is None else frame.pts), frame
    except av.FFmpegError:
        yield position, None


def ffmpeg_message(error: Exception) -> str:
    """Return FFmpeg's error message without the path, which our messages already contain."""
    return getattr(error, "strerror", None) or str(error)
