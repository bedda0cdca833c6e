"""A transcript file in any of the formats that people have, as one `Transcript`.

Each family of formats has a module of its own, imported when a file needs it: a subtitle pays for webvtt, nothing
else does.
"""

from __future__ import annotations

from lifestream.errors import UnusableRecording
from lifestream.media import TRANSCRIPT_TYPES
from lifestream.models import Transcript

TRANSCRIPT_EXTENSIONS = tuple(TRANSCRIPT_TYPES)


def parse_transcript(filename: str, content: bytes) -> Transcript:
    """Read a transcript; the extension of `filename`, in any case, says what it is.

    Utterances are as small as the source gives times for: words from Amazon Transcribe, cues from subtitles. Times
    are `Timing.ESTIMATED`, at 150 words a minute, where a plain text has no clock.

    Raises `UnusableRecording`, and nothing else whatever the bytes are, with a code of `empty_transcript`,
    `malformed_transcript`, `not_a_transcript`, `unreadable_text` or `too_large`. Its message names the line or the
    field and says what to do; it never quotes the transcript.
    """
    extension = next((known for known in TRANSCRIPT_EXTENSIONS if filename.lower().endswith(known)), None)
    if extension is None:
        raise UnusableRecording(
            "not_a_transcript", f"A transcript's file name ends in one of {', '.join(TRANSCRIPT_EXTENSIONS)}."
        )

    from lifestream.transcripts.source_text import decoded

    text = decoded(content)
    if extension in (".vtt", ".srt"):
        from lifestream.transcripts.subtitles import parse_subtitles

        return parse_subtitles(text, header_required=extension == ".vtt")
    if extension == ".json":
        from lifestream.transcripts.asr_json import parse_json

        return parse_json(text)
    from lifestream.transcripts.plain_text import parse_text

    return parse_text(text, markdown=extension == ".md")
