"""Which files are accepted, and what each ending means. Apart because uploads and ingest must agree on it.

Audio and video: the media formats of Amazon Transcribe's documentation
(https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html).
"""

from __future__ import annotations

from types import MappingProxyType

TRANSCRIPT_TYPES = MappingProxyType(
    {
        ".vtt": "text/vtt",
        ".srt": "application/x-subrip",
        ".txt": "text/plain",
        ".md": "text/markdown",
        ".json": "application/json",
    }
)
MEDIA_TYPES = MappingProxyType(
    {
        ".amr": "audio/amr",
        ".flac": "audio/flac",
        ".m4a": "audio/mp4",
        ".mp3": "audio/mpeg",
        ".mp4": "video/mp4",
        ".ogg": "audio/ogg",
        ".wav": "audio/wav",
        ".webm": "video/webm",
    }
)
MAX_UPLOAD_BYTES = 2 * 1024**3
MAX_TRANSCRIPT_BYTES = 50 * 1024**2

ACCEPTED_EXTENSIONS = (*TRANSCRIPT_TYPES, *MEDIA_TYPES)


def extension_of(filename: str) -> str:
    """The ending in lower case with its dot, or "" where there is none."""
    stem, dot, ending = filename.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def content_type_of(extension: str) -> str:
    """Raises KeyError where the extension is not accepted."""
    return TRANSCRIPT_TYPES.get(extension) or MEDIA_TYPES[extension]


def is_media(filename: str) -> bool:
    """Whether there is something to play: audio or video rather than a transcript."""
    return extension_of(filename) in MEDIA_TYPES
