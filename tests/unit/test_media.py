"""Which files are accepted, and what each ending means."""

from __future__ import annotations

import pytest

from lifestream.media import (
    ACCEPTED_EXTENSIONS,
    MAX_UPLOAD_BYTES,
    MEDIA_TYPES,
    TRANSCRIPT_TYPES,
    content_type_of,
    extension_of,
    is_media,
)
from lifestream.transcripts import TRANSCRIPT_EXTENSIONS


def test_the_transcripts_that_are_accepted_are_those_that_are_read() -> None:
    assert set(TRANSCRIPT_TYPES) == set(TRANSCRIPT_EXTENSIONS) == {".vtt", ".srt", ".txt", ".md", ".json"}


def test_the_media_are_those_that_amazon_transcribe_documents() -> None:
    # https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html
    assert set(MEDIA_TYPES) == {".amr", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".wav", ".webm"}


def test_the_limit_is_2_gibibytes() -> None:
    assert MAX_UPLOAD_BYTES == 2_147_483_648


@pytest.mark.parametrize(
    ("filename", "extension"),
    [
        ("meeting.vtt", ".vtt"),
        ("MEETING.VTT", ".vtt"),
        ("a.b.mp4", ".mp4"),
        ("a..md", ".md"),
        ("meeting", ""),
        (".vtt", ""),
        ("meeting.", "."),
        ("", ""),
        ("meeting.tar.gz", ".gz"),
        ("Überblick.TXT", ".txt"),
    ],
)
def test_an_extension_is_what_follows_the_last_dot(filename: str, extension: str) -> None:
    assert extension_of(filename) == extension


def test_every_accepted_extension_has_a_content_type() -> None:
    for extension in ACCEPTED_EXTENSIONS:
        kind, _, name = content_type_of(extension).partition("/")
        assert kind in {"text", "application", "audio", "video"}
        assert name


@pytest.mark.parametrize("extension", ["", ".", ".exe", "vtt", ".VTT"])
def test_no_other_extension_has_one(extension: str) -> None:
    with pytest.raises(KeyError):
        content_type_of(extension)


@pytest.mark.parametrize(
    ("filename", "media"),
    [("talk.mp3", True), ("talk.WEBM", True), ("talk.vtt", False), ("talk.mp3.txt", False), ("mp3", False)],
)
def test_media_is_what_can_be_played(filename: str, media: bool) -> None:
    assert is_media(filename) is media
