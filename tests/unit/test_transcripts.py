"""Transcript files of every format: what comes out of them, and what is said about those that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifestream.errors import UnusableRecording
from lifestream.models import Timing, Transcript, Utterance
from lifestream.transcripts import TRANSCRIPT_EXTENSIONS, parse_transcript

CODES = {"empty_transcript", "malformed_transcript", "not_a_transcript", "unreadable_text", "too_large"}

bounded = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def parse(filename: str, content: str | bytes | object) -> Transcript:
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    return parse_transcript(filename, content.encode() if isinstance(content, str) else content)


def rejection(filename: str, content: str | bytes | object) -> UnusableRecording:
    with pytest.raises(UnusableRecording) as caught:
        parse(filename, content)
    assert caught.value.code in CODES
    return caught.value


def spoken(transcript: Transcript) -> list[tuple[str | None, str]]:
    return [(utterance.speaker, utterance.text) for utterance in transcript.utterances]


def times(transcript: Transcript) -> list[tuple[int, int]]:
    return [(utterance.start_ms, utterance.end_ms) for utterance in transcript.utterances]


def vtt(*cues: str) -> str:
    """WebVTT whose cues last a second each."""
    return "WEBVTT\n\n" + "\n\n".join(
        f"00:{nth // 60:02}:{nth % 60:02}.000 --> 00:{nth // 60:02}:{nth % 60:02}.999\n{cue}"
        for nth, cue in enumerate(cues)
    )


def srt(*cues: str) -> str:
    return "\n\n".join(
        f"{nth + 1}\n00:00:{nth:02},000 --> 00:00:{nth + 1:02},000\n{cue}" for nth, cue in enumerate(cues)
    )


def assert_well_formed(transcript: Transcript) -> None:
    assert transcript.utterances
    starts = [utterance.start_ms for utterance in transcript.utterances]
    assert starts == sorted(starts)
    for utterance in transcript.utterances:
        assert 0 <= utterance.start_ms <= utterance.end_ms
        assert utterance.text == " ".join(utterance.text.split()) != ""
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in utterance.text)
        assert utterance.speaker is None or utterance.speaker.strip()


class TestSamples:
    """Files of other projects, each with the outcome that a person would expect of it."""

    @pytest.mark.parametrize(
        ("name", "cues", "duration_ms", "first", "last"),
        [
            ("subtitles/captions_with_bom.vtt", 4, 21_580, "Caption text #1", "Caption text #4"),
            ("subtitles/comments.vtt", 3, 150_000, "- Ta en kopp varmt te. - Det är inte varmt.", "- Ta en kopp"),
            ("subtitles/sample.vtt", 16, 64_300, "Caption text #1", "Caption text #16"),
            ("subtitles/sample.srt", 5, 23_880, "Caption text #1", "Caption text #5"),
            ("subtitles/youtube_dl.vtt", 3, 305_069, "yeah", "this will happen is I'm telling"),
        ],
    )
    def test_subtitles_are_read_cue_by_cue(
        self, shared: Path, name: str, cues: int, duration_ms: int, first: str, last: str
    ) -> None:
        transcript = parse_transcript(name, (shared / "samples" / name).read_bytes())
        assert len(transcript.utterances) == cues
        assert transcript.duration_ms == duration_ms
        assert (transcript.utterances[0].text, transcript.utterances[-1].text) == (first, last)
        assert transcript.timing is Timing.EXACT
        assert transcript.speakers == ()

    @pytest.mark.parametrize(
        ("name", "line"), [("subtitles/invalid_timeframe.vtt", 6), ("subtitles/missing_timeframe.srt", 6)]
    )
    def test_broken_and_missing_time_lines_are_named(self, shared: Path, name: str, line: int) -> None:
        error = rejection(name, (shared / "samples" / name).read_bytes())
        assert error.code == "malformed_transcript"
        assert str(error).startswith(f"line {line}: ")
        assert "Caption" not in str(error)

    @pytest.mark.parametrize(("name", "speakers"), [("plain.json", ()), ("speakers.json", ("spk_0", "spk_1", "spk_2"))])
    def test_transcribe_gives_each_word_its_time_and_speaker(
        self, shared: Path, name: str, speakers: tuple[str, ...]
    ) -> None:
        content = (shared / "samples" / "transcribe" / name).read_bytes()
        transcript = parse_transcript(name, content)
        assert transcript.speakers == speakers
        assert transcript.utterances[0] == Utterance(490, 700, "She", speakers[0] if speakers else None)
        said = " ".join(utterance.text for utterance in transcript.utterances)
        assert said == json.loads(content)["results"]["transcripts"][0]["transcript"]

    def test_every_file_of_the_folder_has_an_outcome_here(self, shared: Path) -> None:
        names = {path.name for path in (shared / "samples").rglob("*") if path.suffix in TRANSCRIPT_EXTENSIONS}
        assert names == {
            "captions_with_bom.vtt",
            "comments.vtt",
            "invalid_timeframe.vtt",
            "missing_timeframe.srt",
            "plain.json",
            "sample.srt",
            "sample.vtt",
            "speakers.json",
            "youtube_dl.vtt",
        }

    def test_meetings_of_the_evaluation_set_keep_every_word_and_speaker(self, shared: Path) -> None:
        content = (shared / "eval/qmsum/val/Bmr005.vtt").read_text(encoding="utf-8")
        transcript = parse("Bmr005.vtt", content)
        cues = content.split("\n\n")[1:]
        assert len(transcript.utterances) == len(cues)
        assert spoken(transcript)[0] == ("Professor E", "So . OK . Doesn't look like it crashed . That 's great .")


class TestAnyFile:
    @pytest.mark.parametrize("extension", TRANSCRIPT_EXTENSIONS)
    @pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \r\n\t\n", b"\x00\x01\x02", "\u200b\ufeff".encode()])
    def test_without_words_is_an_empty_transcript(self, extension: str, content: bytes) -> None:
        assert rejection(f"a{extension}", content).code == "empty_transcript"

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(("a.vtt", vtt("")), id="vtt"),
            pytest.param(("a.vtt", "WEBVTT"), id="header alone"),
            pytest.param(("a.vtt", vtt("♪ …")), id="signs"),
            pytest.param(("a.srt", srt(" ")), id="srt"),
            pytest.param(("a.md", "# \n---\n"), id="md"),
            pytest.param(("a.json", {"results": {"items": []}}), id="transcribe"),
            pytest.param(("a.json", {"segments": []}), id="whisper"),
            pytest.param(("a.json", {"transcription": []}), id="whisper.cpp"),
        ],
    )
    def test_with_a_frame_but_no_words_is_an_empty_transcript(self, content: tuple[str, object]) -> None:
        assert rejection(*content).code == "empty_transcript"

    @pytest.mark.parametrize("extension", TRANSCRIPT_EXTENSIONS)
    def test_that_is_not_unicode_is_unreadable_and_the_line_is_named(self, extension: str) -> None:
        error = rejection(f"a{extension}", b"WEBVTT\n\ncaf\xe9")
        assert error.code == "unreadable_text"
        assert "line 3" in str(error)
        assert "UTF-8" in str(error)

    def test_in_utf16_without_a_mark_is_unreadable_and_loses_no_letters(self) -> None:
        assert rejection("a.txt", "Да, мы начали. Ну что?\n".encode("utf-16-le")).code == "unreadable_text"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    def test_reads_alike_in_each_encoding_and_with_each_line_end(self, encoding: str, line_end: str) -> None:
        for filename, content in [("a.vtt", vtt("Käse", "Öl")), ("a.srt", srt("Käse", "Öl")), ("a.txt", "Käse\nÖl")]:
            transcript = parse_transcript(filename, content.replace("\n", line_end).encode(encoding))
            assert [utterance.text for utterance in transcript.utterances] == ["Käse", "Öl"]

    def test_loses_control_characters_and_runs_of_white_space(self) -> None:
        text = "He\x00l\x07lo\u2028  the\xa0\tre\ufeff \u200b."
        assert spoken(parse("a.vtt", vtt(text))) == [(None, "Hello the re .")]
        assert spoken(parse("a.txt", text)) == [(None, "Hello the re .")]
        segments = {"segments": [{"start": 0, "end": 1, "text": text}]}
        assert spoken(parse("a.json", segments)) == [(None, "Hello the re .")]

    def test_with_an_extension_that_is_not_read_says_which_are(self) -> None:
        error = rejection("talk.docx", "words")
        assert error.code == "not_a_transcript"
        assert ".vtt, .srt, .txt, .md, .json" in str(error)

    def test_may_have_its_extension_in_capitals(self) -> None:
        assert spoken(parse("A.TXT", "hello")) == [(None, "hello")]

    def test_over_the_limit_of_bytes_is_too_large(self) -> None:
        error = rejection("a.txt", b"a " * 26_300_000)
        assert error.code == "too_large"
        assert "52,428,800 bytes" in str(error)

    def test_over_the_limit_of_one_utterance_is_too_large(self) -> None:
        long = "word " * 200_001
        assert str(rejection("a.vtt", vtt(long))).startswith("line 4: more than 1,000,000 characters")
        assert str(rejection("a.txt", f"hello\n{long}")).startswith("line 2: more than 1,000,000 characters")
        segments = {"segments": [{"start": 0, "end": 1, "text": long}]}
        assert str(rejection("a.json", segments)).startswith("segments[0].text: more than 1,000,000 characters")

    def test_over_the_limit_of_turns_is_too_large(self) -> None:
        assert "changes of speaker" in str(rejection("a.vtt", vtt(*["<v A>" * 150_000] * 4)))
        assert "changes of speaker" in str(rejection("a.vtt", vtt(*[". >> a" * 150_000] * 4)))

    def test_over_the_limit_of_lines_is_too_large(self) -> None:
        assert "750,000 lines" in str(rejection("a.vtt", "WEBVTT" + "\n" * 750_000 + "a"))
        assert "150,000 lines" in str(rejection("a.txt", "a\n" * 150_001))

    def test_of_ten_thousand_cues_and_a_cue_of_100_000_characters_is_read(self) -> None:
        many = parse("a.vtt", vtt(*(f"cue {nth}" for nth in range(3_599))))
        assert len(many.utterances) == 3_599
        lines = "".join(
            f"{n}\n{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},5 --> 3:0:0,0\nw{n}\n\n" for n in range(10_000)
        )
        assert len(parse("a.srt", lines).utterances) == 10_000
        assert len(parse("a.vtt", vtt("w " * 50_000)).utterances[0].text) == 99_999

    def test_imports_the_reader_of_subtitles_only_for_subtitles(self) -> None:
        code = (
            "import sys; from lifestream.transcripts import parse_transcript as parse; parse('a.txt', b'hi');"
            "assert not {'webvtt', 'pydantic_core', 'html'} & set(sys.modules), sys.modules.keys()"
        )
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


class TestSubtitles:
    def test_webvtt_without_its_header_says_so(self) -> None:
        error = rejection("a.vtt", "00:00.000 --> 00:01.000\nHello")
        assert error.code == "malformed_transcript"
        assert str(error).startswith("line 1: ")
        assert "WEBVTT" in str(error)

    def test_metadata_identifiers_and_settings_are_not_words(self) -> None:
        content = (
            "WEBVTT - a title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:fred\nwidth:40%\n\n"
            "NOTE a remark\nover two lines\n\nintro\n00:01.000 --> 00:02.500 align:start position:0%\nHello\n\n"
            "NOTE\nlast\n\n7\n1:00:03.000 --> 1:00:04.000 line:0\nthere\n"
        )
        transcript = parse("a.vtt", content)
        assert [utterance.text for utterance in transcript.utterances] == ["Hello", "there"]
        assert times(transcript) == [(1_000, 2_500), (3_603_000, 3_604_000)]

    @pytest.mark.parametrize(
        "line",
        [
            "00:00:1d.890 --> 00:00:20.000",
            "00:00:10.000 --> 00:00:1d.890",
            "00:00:10.000 -->",
            "--> 00:00:10.000",
            "00:00:10 --> 00:00:11",
            "00:60:10.000 --> 00:61:11.000",
            "00:00:-1.000 --> 00:00:11.000",
            "99999:00:00.000 --> 99999:00:01.000",
            "00:00:10.000 --> 00:00:11.000abc",
            "٠٠:٠٠:١٠.٠٠٠ --> 00:00:11.000",
        ],
    )
    def test_a_broken_time_line_is_an_error_that_names_its_line(self, line: str) -> None:
        for filename, before in [
            ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n\n"),
            ("a.srt", srt("Hi") + "\n\n2\n"),
        ]:
            error = rejection(filename, f"{before}{line}\nsecret words\n")
            assert error.code == "malformed_transcript"
            assert str(error).startswith(f"line {before.count(chr(10)) + 1}: ")
            assert "00:00:07.000 --> 00:00:11.890" in str(error)
            assert "secret" not in str(error)

    def test_a_cue_that_ends_before_it_starts_is_an_error(self) -> None:
        error = rejection("a.vtt", "WEBVTT\n\n00:02.000 --> 00:01.000\nHello")
        assert str(error).startswith("line 3: the cue ends before it starts")

    @pytest.mark.parametrize("content", ["Hello there", "1\nHello there", "1\n", "Hello\n\n" + srt("there")])
    def test_words_before_any_time_are_an_error(self, content: str) -> None:
        assert rejection("a.srt", content).code == "malformed_transcript"
        assert rejection("a.vtt", f"WEBVTT\n\n{content}").code == "malformed_transcript"

    def test_zero_length_cues_are_kept_and_overlapping_ones_sorted_by_start(self) -> None:
        content = (
            "WEBVTT\n\n00:05.000 --> 00:09.000\nthird\n\n00:01.000 --> 00:08.000\nfirst\n\n"
            "00:05.000 --> 00:05.000\nfourth\n\n00:02.000 --> 00:03.000\nsecond"
        )
        transcript = parse("a.vtt", content)
        assert [utterance.text for utterance in transcript.utterances] == ["first", "second", "third", "fourth"]

    def test_srt_may_lack_numbers_hours_and_use_a_point(self) -> None:
        content = (
            "00:01,000 --> 00:02.500\nHello\n\n0:0:3.5 --> 00:00:04,000 X1:10 X2:20\nthere\n00:05,0 --> 00:06,0\nyou"
        )
        transcript = parse("a.srt", content)
        assert [utterance.text for utterance in transcript.utterances] == ["Hello", "there", "you"]
        assert times(transcript) == [(1_000, 2_500), (3_500, 4_000), (5_000, 6_000)]

    def test_blank_lines_numbers_and_arrows_in_a_cue_are_words_of_it(self) -> None:
        content = srt("It was\n\n1984\nand we\n\nsat", "click\nFile --> Save")
        assert spoken(parse("a.srt", content)) == [(None, "It was 1984 and we sat"), (None, "click File -> Save")]
        assert spoken(parse("a.vtt", vtt("It was\n\nlate"))) == [(None, "It was late")]

    def test_a_number_that_a_blank_line_parts_from_its_time_is_no_word(self) -> None:
        assert spoken(parse("a.srt", srt("a", "b").replace("2\n", "2\n\n"))) == [(None, "a"), (None, "b")]

    def test_tags_and_entities_are_gone_and_what_only_looks_like_them_stays(self) -> None:
        cue = "{\\an8}<i>Salt</i> &amp; <c.loud><b>pepper</b></c><br/>"
        cue += "<font color='red'>a &lt; b</font>&nbsp;<00:00.500>now"
        assert spoken(parse("a.srt", srt(cue))) == [(None, "Salt & pepper a < b now")]
        cue = "if a < b and c > d <inaudible> <b and c> &copying &#99999999999999;"
        assert spoken(parse("a.vtt", vtt(cue))) == [(None, cue)]

    def test_voices_are_speakers_and_share_a_cue_by_characters(self) -> None:
        content = "WEBVTT\n\n00:00.000 --> 00:10.000\n"
        content += "<v.first.loud Dana O&apos;Neill>123456</v>\n<v Lee>1234 <i>there</i></v> x"
        transcript = parse("a.vtt", content)
        assert spoken(transcript) == [("Dana O'Neill", "123456"), ("Lee", "1234 there"), (None, "x")]
        assert times(transcript) == [(0, 3_529), (3_529, 9_411), (9_411, 10_000)]

    def test_dashes_of_two_unnamed_speakers_are_kept(self) -> None:
        assert spoken(parse("a.vtt", vtt("- Tea?\n- Please."))) == [(None, "- Tea? - Please.")]

    def test_names_before_colons_are_speakers(self) -> None:
        cues = [
            "Dana: Hi",
            "and more",
            "SPEAKER_00: yes\nLee van Dyk: no",
            "- Dana: a\n- b",
            "DR. LEE (V.O.):\nso",
            "spk_0: k",
        ]
        assert spoken(parse("a.srt", srt(*cues))) == [
            ("Dana", "Hi"),
            (None, "and more"),
            ("SPEAKER_00", "yes"),
            ("Lee van Dyk", "no"),
            ("Dana", "a"),
            (None, "- b"),
            ("DR. LEE (V.O.)", "so"),
            ("spk_0", "k"),
        ]

    def test_a_name_alone_in_its_cue_speaks_in_the_next(self) -> None:
        assert spoken(parse("a.srt", srt("DANA:", "Hi", "LEE: Ho"))) == [("DANA", "Hi"), ("LEE", "Ho")]

    @pytest.mark.parametrize(
        "line",
        [
            "Note: this",
            "WARNING: that",
            "Step 3: stir",
            "Meet at 12:30: lunch",
            "12:30: lunch",
            "https://example.org is it",
            "The thing is: we came",
            "and then she said: no",
            "He said Go Away To Me Now: no",
            "Std::vector",
            "Ratio 3:4",
            "Q: who?",
        ],
    )
    def test_what_is_no_name_before_a_colon_stays_in_the_text(self, line: str) -> None:
        cues = [line, line.replace("this", "those"), "Dana: Hi", "Lee: Ho"]
        assert spoken(parse("a.srt", srt(*cues)))[0] == (None, line)
        assert spoken(parse("a.txt", "\n".join(cues[2:] + cues[:2])))[2][1] == line

    def test_a_lone_prefix_in_a_long_file_is_no_speaker(self) -> None:
        cues = ["we came", "we saw", "Paris: a city", "we left", "we slept"]
        assert spoken(parse("a.srt", srt(*cues)))[2] == (None, "Paris: a city")

    def test_q_and_a_are_speakers_together(self) -> None:
        assert parse("a.srt", srt("Q: Where?", "A: Here.")).speakers == ("Q", "A")
        assert parse("a.srt", srt("A: first", "A: second")).speakers == ()

    def test_chevrons_begin_a_turn_that_lasts_until_the_next(self) -> None:
        cues = ["&gt;&gt; DANA: Good morning.", "News at ten. >> Thanks.", ">> LEE: Rain"]
        assert spoken(parse("a.vtt", vtt(*cues))) == [
            ("DANA", "Good morning."),
            ("DANA", "News at ten."),
            (None, "Thanks."),
            ("LEE", "Rain"),
        ]

    def test_rolling_captions_say_each_line_once(self) -> None:
        lines = ["so today", "we look at", "at cats", "at cats", "and dogs"]
        shown = ["\n".join(lines[max(0, nth - 1) : nth + 1]) for nth in range(len(lines))]
        assert [text for _, text in spoken(parse("a.vtt", vtt(*shown)))] == lines

    def test_what_was_said_twice_is_kept_twice(self) -> None:
        assert len(parse("a.vtt", vtt("No.", "No.", "No.", "Yes.")).utterances) == 4
        karaoke = "la<00:00.500> la"
        assert len(parse("a.vtt", vtt(karaoke, karaoke)).utterances) == 2


class TestTranscribe:
    @staticmethod
    def word(text: str, start: str, end: str, **more: str) -> dict[str, Any]:
        return {
            "type": "pronunciation",
            "start_time": start,
            "end_time": end,
            "alternatives": [{"content": text}],
            **more,
        }

    @staticmethod
    def mark(text: str) -> dict[str, Any]:
        return {"type": "punctuation", "alternatives": [{"content": text, "confidence": "0.0"}]}

    def test_punctuation_joins_the_word_before(self) -> None:
        items = [
            self.mark("¿"),
            self.word("Hi", "0.1", "0.25"),
            self.mark(","),
            self.word("you", "1", "2"),
            self.mark("."),
        ]
        transcript = parse("a.json", {"results": {"items": items}})
        assert transcript == Transcript((Utterance(100, 250, "¿Hi,"), Utterance(1_000, 2_000, "you.")))

    def test_speakers_of_newer_output_stand_at_each_word(self) -> None:
        items = [self.word("Hi", "0", "1", speaker_label="spk_0"), self.word("Ho", "1", "2", speaker_label="spk_1")]
        assert spoken(parse("a.json", {"results": {"items": items}})) == [("spk_0", "Hi"), ("spk_1", "Ho")]

    def test_channels_are_speakers_and_words_are_not_doubled(self) -> None:
        channels = [
            {"channel_label": "ch_0", "items": [self.word("Hi", "0", "1"), self.mark("."), self.word("So", "4", "5")]},
            {"channel_label": "ch_1", "items": [self.word("Ho", "2", "3"), self.mark("!")]},
        ]
        results = {"items": [self.word("Hi", "0", "1")], "channel_labels": {"channels": channels}}
        assert spoken(parse("a.json", {"results": results})) == [("ch_0", "Hi."), ("ch_1", "Ho!"), ("ch_0", "So")]

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"start_time": None}, "results.items[1].start_time"),
            ({"start_time": "NaN"}, "results.items[1].start_time"),
            ({"start_time": "-1"}, "results.items[1].start_time"),
            ({"start_time": True}, "results.items[1].start_time"),
            ({"end_time": "0.5"}, "results.items[1].end_time"),
            ({"end_time": "1e3"}, "results.items[1].end_time"),
            ({"end_time": []}, "results.items[1].end_time"),
            ({"alternatives": []}, "results.items[1].alternatives"),
            ({"alternatives": {}}, "results.items[1].alternatives"),
            ({"alternatives": [{}]}, "results.items[1].alternatives[0].content"),
            ({"speaker_label": 3}, "results.items[1].speaker_label"),
        ],
    )
    def test_a_malformed_item_is_named_by_its_field(self, change: dict[str, Any], path: str) -> None:
        items = [self.word("Hi", "0", "1"), self.word("secret", "1", "2") | change]
        error = rejection("a.json", {"results": {"items": items}})
        assert error.code == "malformed_transcript"
        assert str(error).startswith(f"{path}: ")
        assert "secret" not in str(error)

    @pytest.mark.parametrize(
        ("results", "path"),
        [
            ({"transcripts": []}, "results.items"),
            ({"items": {}}, "results.items"),
            ({"items": [3]}, "results.items[0]"),
            ({"items": [], "speaker_labels": []}, "results.speaker_labels"),
            ({"items": [], "speaker_labels": {"segments": [{}]}}, "results.speaker_labels.segments[0].items"),
            ({"items": [], "channel_labels": {}}, "results.channel_labels.channels"),
        ],
    )
    def test_a_malformed_frame_is_named_by_its_field(self, results: dict[str, Any], path: str) -> None:
        assert str(rejection("a.json", {"results": results})).startswith(f"{path}: ")


class TestWhisper:
    def test_segments_have_seconds_and_perhaps_speakers(self) -> None:
        segments = [
            {"start": 1.0, "end": 2.5, "text": " Hi there.", "speaker": "SPEAKER_01"},
            {"start": 2.5, "end": 2.5, "text": " Ho."},
            {"start": 3, "end": 4, "text": "  "},
        ]
        transcript = parse("a.json", {"task": "transcribe", "text": "...", "segments": segments})
        assert transcript == Transcript(
            (Utterance(1_000, 2_500, "Hi there.", "SPEAKER_01"), Utterance(2_500, 2_500, "Ho."))
        )

    def test_words_of_a_segment_are_used_when_they_say_all_of_it(self) -> None:
        words = [
            {"word": "It", "start": 0.0, "end": 0.2},
            {"word": "was"},
            {"word": "2014."},
            {"word": "Yes", "start": 1, "end": 2},
        ]
        segment = {"start": 0, "end": 2, "text": " It was 2014. Yes", "words": words, "speaker": "S"}
        transcript = parse("a.json", {"segments": [segment]})
        assert transcript == Transcript((Utterance(0, 200, "It was 2014.", "S"), Utterance(1_000, 2_000, "Yes", "S")))
        segment["text"] = "It was 2014. Yes!"
        assert spoken(parse("a.json", {"segments": [segment]})) == [("S", "It was 2014. Yes!")]

    def test_words_without_segments_are_utterances(self) -> None:
        words = [{"word": "Hi", "start": 0, "end": 1}, {"word": "Ho", "start": 1, "end": 2}]
        assert len(parse("a.json", {"words": words, "segments": None}).utterances) == 2
        assert rejection("a.json", {"words": [{"word": "Hi"}]}).code == "malformed_transcript"

    def test_whisper_cpp_has_milliseconds(self) -> None:
        item = {"timestamps": {"from": "00:00:01,000"}, "offsets": {"from": 1_000, "to": 2_340}, "text": " Hi"}
        assert parse("a.json", {"transcription": [item]}) == Transcript((Utterance(1_000, 2_340, "Hi"),))

    @pytest.mark.parametrize(
        ("document", "path"),
        [
            ('{"segments": [{"start": 0, "text": "a"}]}', "segments[0].end"),
            ('{"segments": [{"start": NaN, "end": 1, "text": "a"}]}', "segments[0].start"),
            ('{"segments": [{"start": 0, "end": 1e999, "text": "a"}]}', "segments[0].end"),
            ('{"segments": [{"start": -0.5, "end": 1, "text": "a"}]}', "segments[0].start"),
            ('{"segments": [{"start": 2, "end": 1, "text": "a"}]}', "segments[0].end"),
            ('{"segments": [{"start": "0", "end": 1, "text": "a"}]}', "segments[0].start"),
            ('{"segments": [{"start": 0, "end": 1}]}', "segments[0].text"),
            ('{"segments": [{"start": 0, "end": 1, "text": "a", "speaker": 1}]}', "segments[0].speaker"),
            ('{"segments": [{"start": 0, "end": 1, "text": "a", "words": [{}]}]}', "segments[0].words[0].word"),
            (
                '{"segments": [{"start": 0, "end": 1, "text": "a", "words": [{"start": 1}]}]}',
                "segments[0].words[0].end",
            ),
            ('{"segments": {"a": 1}}', "segments"),
            ('{"segments": [[]]}', "segments[0]"),
            ('{"words": 3}', "words"),
            ('{"transcription": [{"text": "a"}]}', "transcription[0].offsets"),
            ('{"transcription": [{"text": "a", "offsets": {"from": 2, "to": 1}}]}', "transcription[0].offsets.to"),
            ('{"transcription": "a"}', "transcription"),
        ],
    )
    def test_a_malformed_field_is_named(self, document: str, path: str) -> None:
        error = rejection("a.json", document)
        assert error.code == "malformed_transcript"
        assert str(error).startswith(f"{path}: ")


class TestJson:
    @pytest.mark.parametrize(
        "document", ["{}", "[]", "3", "null", '"hi"', '{"results": []}', '{"results": {}}', '{"text": "hi"}']
    )
    def test_of_no_known_shape_says_which_are_known(self, document: str) -> None:
        error = rejection("a.json", document)
        assert error.code == "not_a_transcript"
        for known in ("Amazon Transcribe", "verbose_json", "whisper.cpp"):
            assert known in str(error)

    @pytest.mark.parametrize(
        "document",
        [
            "[" * 100_000,
            "[" * 100_000 + "]" * 100_000,
            '{"segments":' * 100_000,
            '{"segments": [{"start": %s, "end": 1, "text": "a"}]}' % ("9" * 5_000),
            '{"segments": [{"start": %s, "end": 1, "text": "a"}]}' % ("9" * 4_000),
            '{"segments": [{"start": 0, "end": 1, "text": "\\ud800"}]}',
            '{"segments": [',
            "WEBVTT",
        ],
        ids=["open", "nested", "objects", "5,000 digits", "4,000 digits", "surrogate", "cut off", "not JSON"],
    )
    def test_that_would_break_a_parser_is_malformed(self, document: str) -> None:
        assert rejection("a.json", document).code == "malformed_transcript"

    def test_of_too_many_values_is_too_large_before_it_takes_memory(self) -> None:
        error = rejection("a.json", "[" + "[]," * 3_000_001)
        assert error.code == "too_large"
        assert "6,000,000 JSON values" in str(error)

    def test_of_a_huge_text_said_twice_is_read(self) -> None:
        text = "word " * 199_999
        document = f'{{"segments": [{{"start": 0, "end": 1, "text": "x", "text": "{text}"}}], "copy": "{text}"}}'
        assert len(parse("a.json", document).utterances[0].text.split()) == 199_999


class TestPlainText:
    def test_time_is_estimated_at_150_words_a_minute(self) -> None:
        transcript = parse("a.txt", "one two three\n\n" + "word " * 147)
        assert transcript.timing is Timing.ESTIMATED
        assert times(transcript) == [(0, 1_200), (1_200, 60_000)]

    def test_text_without_spaces_takes_time_too(self) -> None:
        assert parse("a.txt", "我们今天讨论新的预算安排").duration_ms == 2_800

    def test_a_speaker_goes_on_until_the_next(self) -> None:
        content = "Dana Lee: Hi.\nAnd more.\n\nStill me.\nspk_1:\nHo.\nNote: this is mine\n12:30: so is this"
        assert spoken(parse("a.txt", content)) == [
            ("Dana Lee", "Hi."),
            ("Dana Lee", "And more."),
            ("Dana Lee", "Still me."),
            ("spk_1", "Ho."),
            ("spk_1", "Note: this is mine"),
            ("spk_1", "12:30: so is this"),
        ]

    def test_one_line_with_a_name_has_a_speaker(self) -> None:
        assert spoken(parse("a.txt", "Dana: we chose blue.")) == [("Dana", "we chose blue.")]

    def test_markdown_is_read_as_words(self) -> None:
        content = (
            "# The _weekly_ call\n\n---\n\n**Dana:** we *chose* `blue`, see [the plan](https://example.org/a_b)\n"
            "- **Lee**: not 2 * 3, not snake_case_name\n> 1. [x] fine\n\n```python\ncode\n```\n**SPEAKER_00:** bye"
        )
        assert spoken(parse("a.md", content)) == [
            (None, "The weekly call"),
            ("Dana", "we chose blue, see the plan"),
            ("Lee", "not 2 * 3, not snake_case_name"),
            ("Lee", "[x] fine"),
            ("Lee", "code"),
            ("SPEAKER_00", "bye"),
        ]

    def test_a_table_in_markdown_is_read_as_the_words_of_its_cells(self) -> None:
        content = "| Name | Decision |\n|:-----|---------:|\n| Ada | ship it |\n| Ben | wait |"
        assert spoken(parse("a.md", content)) == [(None, "Name Decision"), (None, "Ada ship it"), (None, "Ben wait")]
        assert spoken(parse("a.txt", "|x| is absolute")) == [(None, "|x| is absolute")]

    @pytest.mark.parametrize(
        "content",
        [
            "[00:00:05] Dana: Hi there\nall of you\n\n[00:01:05] Lee: Ho",
            "(0:05) Dana: Hi there\nall of you\n(1:05) Lee: Ho",
            "00:00:05 Dana: Hi there\nall of you\n\n00:01:05 - Lee: Ho",
            "00:05 Dana: Hi there all of you\n01:05 Lee: Ho",
            "00:00:05 Dana\nHi there\nall of you\n\n00:01:05 Lee\nHo",
            "Dana  0:05 \nHi there\nall of you\n\nLee  1:05 \nHo\n",
            "Dana (00:05):\nHi there all of you\n\nLee (01:05):\nHo",
            "[Dana] 00:00:05\nHi there all of you\n\n[Lee] 00:01:05\nHo",
            "[00:00:05.000]\nDana: Hi there all of you\n\n[00:01:05,0]\nLee: Ho",
        ],
    )
    def test_clock_times_of_common_exports_are_exact(self, content: str) -> None:
        transcript = parse("a.txt", content)
        assert transcript.timing is Timing.EXACT
        assert transcript.utterances == (
            Utterance(5_000, 65_000, "Hi there all of you", "Dana"),
            Utterance(65_000, 65_400, "Ho", "Lee"),
        )

    def test_time_spans_of_whisper_on_a_terminal_are_exact(self) -> None:
        transcript = parse("a.txt", "[00:00:01.000 --> 00:00:05.500]   Hi\n[00:09.000 --> 00:10.000]  Ho")
        assert times(transcript) == [(1_000, 5_500), (9_000, 10_000)]
        assert rejection("a.txt", "hello\n[00:05 - 00:01] Ho").code == "malformed_transcript"

    def test_a_paragraph_without_a_clock_makes_the_timing_estimated(self) -> None:
        transcript = parse("a.txt", "The call\n\n[00:10] one two\n\nthree four\n\n[00:30] five\n\n[00:20] six")
        assert transcript.timing is Timing.ESTIMATED
        assert [utterance.text for utterance in transcript.utterances] == [
            "The call",
            "one two",
            "three four",
            "six",
            "five",
        ]
        assert times(transcript) == [
            (0, 10_000),
            (10_000, 15_000),
            (15_000, 20_000),
            (20_000, 30_000),
            (30_000, 30_400),
        ]

    @pytest.mark.parametrize("line", ["10:30 we met", "[12:75] so", "Meet at 10:30", "It is 00:10", "3:16 says it"])
    def test_a_time_of_day_in_the_text_is_no_clock(self, line: str) -> None:
        transcript = parse("a.txt", f"hello\n{line}\nbye")
        assert transcript.timing is Timing.ESTIMATED
        assert spoken(transcript)[1] == (None, line)

    def test_short_answers_beside_clocks_are_words(self) -> None:
        assert spoken(parse("a.txt", "[00:01] Yes\n[00:02] No\n[00:03] Yes")) == [
            (None, "Yes"),
            (None, "No"),
            (None, "Yes"),
        ]


# What files are made of, so that random ones get past the first line.
FRAGMENTS = st.sampled_from(
    [
        *(
            "WEBVTT",
            "\n",
            "\r\n",
            "\r",
            "\n\n",
            " ",
            "1",
            "2",
            "1\n",
            "NOTE",
            "STYLE\n",
            "00:00:01.000",
            "-->",
            " --> ",
        ),
        *(
            "00:00:01.000 --> 00:00:02.000\n",
            "00:05,5 --> 00:06,5\n",
            "<v Dana>",
            "</v>",
            "<c>",
            "<00:00:01.500>",
            "&amp;",
        ),
        *(
            "&#xD800;",
            "&#0;",
            "{\\an8}",
            ">> ",
            "Dana: ",
            "Lee: ",
            "Q: ",
            "- ",
            "# ",
            "**",
            "_",
            "`",
            "[",
            "](",
            ")",
            "[00:01] ",
        ),
        *(
            "00:00:09 ",
            "Dana 0:03\n",
            "hello",
            "yeah\n",
            "\x00",
            "\u2028",
            "é",
            "：",
            "٣",
            '{"segments":',
            '{"results":{"items":',
        ),
        *(
            '{"start":0,"end":1,"text":"a"}',
            "[",
            "]",
            "}",
            ",",
            "NaN",
            "-1",
            "1e999",
            '"words":',
            '"\\ud800"',
            "null",
            "true",
        ),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["0.5", "spk_0", "punctuation"])
)
FIELD_NAMES = (
    "results items type start_time end_time alternatives content speaker_labels segments channel_labels channels "
    "channel_label speaker_label start end text words word speaker transcription offsets from to"
)
NAMES = st.sampled_from(FIELD_NAMES.split())
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5))


def outcome_is_clean(filename: str, content: bytes) -> None:
    try:
        outcome: Transcript | UnusableRecording = parse_transcript(filename, content)
    except UnusableRecording as error:
        outcome = error
    if isinstance(outcome, Transcript):
        assert_well_formed(outcome)
    else:
        assert outcome.code in CODES
        assert len(str(outcome)) < 300


class TestWhateverTheBytes:
    @bounded
    @given(content=st.binary(max_size=300), extension=st.sampled_from(TRANSCRIPT_EXTENSIONS))
    def test_random_bytes_end_in_a_transcript_or_an_unusable_recording(self, content: bytes, extension: str) -> None:
        outcome_is_clean(f"a{extension}", content)
        outcome_is_clean(f"a{extension}", b"WEBVTT\n\n00:01.000 --> 00:02.000\n" + content)

    @settings(bounded, max_examples=600)
    @given(fragments=st.lists(FRAGMENTS, max_size=30), extension=st.sampled_from(TRANSCRIPT_EXTENSIONS))
    def test_so_do_files_made_of_the_formats_own_pieces(self, fragments: list[str], extension: str) -> None:
        outcome_is_clean(f"a{extension}", "".join(fragments).encode())

    @settings(bounded, max_examples=300)
    @given(document=DOCUMENTS)
    def test_so_do_json_documents_with_the_right_names(self, document: object) -> None:
        outcome_is_clean("a.json", json.dumps(document).encode())

    @settings(bounded, max_examples=60, suppress_health_check=[*HealthCheck])
    @given(data=st.data())
    def test_so_do_samples_with_bytes_changed(self, shared: Path, data: st.DataObject) -> None:
        files = sorted(path for path in (shared / "samples").rglob("*") if path.suffix in TRANSCRIPT_EXTENSIONS)
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(content) - 1))
            content[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=5))
        outcome_is_clean(path.name, bytes(content))


# Letters alone: what is punctuation to a format is tested by example above.
WORDS = st.lists(st.text(st.characters(categories=["Ll", "Lo", "Nd"]), min_size=1, max_size=8), min_size=1, max_size=12)


class TestEveryWordIsKept:
    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda cues: ("a.vtt", vtt(*cues)), id="vtt"),
            pytest.param(lambda cues: ("a.vtt", vtt(*(f"<v Dana>{cue}</v>" for cue in cues))), id="voices"),
            pytest.param(lambda cues: ("a.srt", srt(*cues)), id="srt"),
            pytest.param(lambda cues: ("a.srt", srt(*(f"Dana: {cue}" for cue in cues))), id="names"),
            pytest.param(lambda cues: ("a.txt", "\n".join(cues)), id="txt"),
            pytest.param(lambda cues: ("a.txt", "\n\n".join(f"[00:01] {cue}" for cue in cues)), id="clocks"),
            pytest.param(lambda cues: ("a.md", "\n".join(f"- **{cue}**" for cue in cues)), id="md"),
            pytest.param(
                lambda cues: ("a.json", {"segments": [{"start": 1, "end": 2, "text": cue} for cue in cues]}), id="json"
            ),
        ],
    )
    @bounded
    @given(cues=st.lists(WORDS, min_size=1, max_size=8))
    def test_in_order(self, write: Callable[[list[str]], tuple[str, object]], cues: list[list[str]]) -> None:
        transcript = parse(*write([" ".join(words) for words in cues]))
        assert_well_formed(transcript)
        said = [word for utterance in transcript.utterances for word in utterance.text.split()]
        assert said == [word for words in cues for word in words]


CUE = "00:00:01.000 --> 00:00:02.000\n"
HOSTILE = [
    *(
        "<",
        "<v ",
        "<v A>",
        "<b.",
        "&",
        "&#",
        ">>",
        ">> ",
        ":",
        "A:",
        "A: ",
        " ",
        "\n",
        "\r",
        "--> ",
        "9",
        "0:",
        "{\\",
        "[",
        "](",
        "[a](b",
    ),
    *(
        "*",
        "**",
        "_",
        "*a ",
        "a*",
        "`",
        "- ",
        "> ",
        "1. ",
        "# ",
        "a\n",
        "[00:01] ",
        "[00:01]\n",
        "Dana 0:03\n",
        "<00:",
        "NOTE\n",
        "\x00",
    ),
]


class TestTimeIsLinear:
    """Much of what makes a careless parser quadratic, by which it takes minutes. The bounds allow for a busy CPU."""

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_in_hostile_text(self, piece: str) -> None:
        text = piece * (200_000 // len(piece))
        started = time.process_time()
        outcome_is_clean("a.vtt", f"WEBVTT\n\n{CUE}{text}\n\n{CUE}{text}".encode())
        outcome_is_clean("a.srt", f"{CUE}{text}\n\n{CUE}{text}".encode())
        outcome_is_clean("a.txt", f"{text}\n{text}".encode())
        outcome_is_clean("a.md", f"{text}\n{text}".encode())
        outcome_is_clean("a.json", json.dumps({"segments": [{"start": 0, "end": 1, "text": text}]}).encode())
        outcome_is_clean("a.json", text.encode())
        assert time.process_time() - started < 20

    def test_in_a_million_marks_after_a_word(self) -> None:
        mark = '{"type":"punctuation","alternatives":[{"content":"."}]}'
        word = '{"start_time":"0","end_time":"1","alternatives":[{"content":"a"}]}'
        started = time.process_time()
        transcript = parse("a.json", f'{{"results":{{"items":[{",".join([word, *[mark] * 200_000])}]}}}}')
        assert len(transcript.utterances[0].text) == 200_001
        assert time.process_time() - started < 15
