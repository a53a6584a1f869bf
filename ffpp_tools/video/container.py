"""A video file, opened within limits, and the decoder that its packets are handed to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ffpp_tools.errors import DecodeError, SizeError
from ffpp_tools.files import regular_file

if TYPE_CHECKING:
    import av

MOV = "mov,mp4,m4a,3gp,3g2,mj2"  # MP4 and its kin, by FFmpeg's name
# FFmpeg compares its limit with frames that are padded to the right, by less than this in all.
PADDING = 64 * 32768
PICTURE_LIMIT = "raise it with --max-pixels if the file is to be trusted"


def open_container(path: Path, max_pixels: int, strict: bool = True) -> av.container.InputContainer:
    """A video file whose decoders refuse frames of more pixels than the limit.

    Args:
        path: of the file.
        max_pixels: width × height of a frame.
        strict: decoders stop at what is wrong, and do not conceal it.
    """
    import av

    # To find out what is in a file, FFmpeg decodes its first frames.
    limit = {"max_pixels": str(max_pixels + PADDING)}
    container = av.open(str(regular_file(path)), metadata_errors="replace", options=limit)
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = limit | ({"err_detect": "explode"} if strict else {})
            stream.thread_type = "NONE"  # clips are decoded side by side instead
    return container


def video_stream(
    container: av.container.InputContainer, path: Path, max_pixels: int
) -> av.VideoStream:
    """The stream that is read.

    Raises:
        DecodeError: there is none, or none that can be decoded.
        SizeError: its frames declare more pixels than the limit.
    """
    if not container.streams.video:
        raise DecodeError(f"{path}: holds no video stream")
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None:
        raise DecodeError(f"{path}: not a readable video (no decoder for its codec)")
    if codec.width * codec.height > max_pixels:
        raise SizeError(f"{path}: {too_large(codec.width, codec.height, max_pixels)}")
    return stream


def too_large(width: int, height: int, limit: int) -> str:
    """Why an image or a video's frames are not decoded."""
    return (
        f"declares {width} × {height} = {width * height:,} pixels, more than the limit of "
        f"{limit:,}; {PICTURE_LIMIT}"
    )


def decoded_frames(
    container: av.container.InputContainer, stream: av.VideoStream, needed: Iterable[int]
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """Every frame that comes out of the decoder, with the position of the packet that holds it.

    None stands for the frame of a packet that fails. Only the packets at the positions `needed`
    are decoded, and none is read after them. A frame's dts is the position of the packet behind
    which it came out; None at the end.
    """
    import av

    positions = iter(needed)
    due = next(positions, -1)
    packets = (packet for packet in container.demux(stream) if packet.size)
    try:
        for position, packet in enumerate(packets if due >= 0 else ()):
            if position == due:
                # Decoders hand a packet's pts on to its frame, in whichever order they come out,
                # and the dts of the packet behind which it comes out.
                packet.pts = packet.dts = position
                yield from _decode(stream, packet, position)
                due = next(positions, -1)
                if due < 0:
                    break
    except av.FFmpegError:  # the file cannot be read on; what the decoder still holds can
        pass
    yield from _decode(stream, None, -1)


def _decode(
    stream: av.VideoStream, packet: av.Packet[av.VideoStream] | None, position: int
) -> Iterator[tuple[int, av.VideoFrame | None]]:
    """What comes out of the decoder for one packet; None at its end empties it."""
    import av

    try:
        for frame in stream.decode(packet):
            yield (-1 if frame.pts is None else frame.pts), frame
    except av.FFmpegError:
        yield position, None


def ffmpeg_message(error: Exception) -> str:
    """FFmpeg's words without the path, which the message already names."""
    return getattr(error, "strerror", None) or str(error)
