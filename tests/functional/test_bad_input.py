"""Bad input over HTTP, from the functions themselves: each case has its status, and its field where there is one.

Cases of a table are subtests and not parameters: a stack for each would take longer than all of them together.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.conftest import Stack, api_event

QUERY = ("query", "POST", "/api/v1/query")
UPLOADS = ("upload_presign", "POST", "/api/v1/uploads")

MAX_UPLOAD_BYTES = 2 * 1024**3


def problem_of(response: dict[str, Any], status: int) -> dict[str, Any]:
    """The response's problem document, whose shape is the same for every error."""
    assert response["statusCode"] == status, response["body"]
    assert response["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    problem: dict[str, Any] = response["json"]
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"] == api_event("GET", "/")["requestContext"]["requestId"]
    assert all(isinstance(problem[name], str) and problem[name] for name in ("type", "title", "detail"))
    assert ("errors" in problem) == (status == 422)
    return problem


def fields_of(response: dict[str, Any]) -> list[str]:
    errors = problem_of(response, 422)["errors"]
    assert all(set(error) == {"field", "message"} and error["message"] for error in errors)
    return [error["field"] for error in errors]


UNREADABLE_BODIES = {
    "no body": None,
    "empty": "",
    "malformed": '{"query": ',
    "not JSON": "query=when",
    "two documents": "{} {}",
    "trailing comma": '{"query": "when",}',
    "nested 100,000 deep": '{"query": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "objects nested 100,000 deep": '{"query":' * 100_000 + "1" + "}" * 100_000,
    "a 5,000-digit integer": '{"query": "when", "top_k": ' + "9" * 5_000 + "}",
    "a lone surrogate, escaped": '{"query": "when \\ud800 was it"}',
    "a lone surrogate in the text itself": '{"query": "when \ud800 was it"}',
    "a raw NUL": '{"query": "when\0"}',
}


both_routes = pytest.mark.parametrize("route", [QUERY, UPLOADS], ids=["query", "uploads"])


@both_routes
def test_a_body_that_cannot_be_read_is_a_400(
    stack: Stack, route: tuple[str, str, str], subtests: pytest.Subtests
) -> None:
    for case, body in UNREADABLE_BODIES.items():
        with subtests.test(case):
            problem_of(stack.call(*route, body=body), 400)


UNREADABLE_BASE64 = {
    "invalid UTF-8 in a string": base64.b64encode(b'{"query": "\xff\xfe"}').decode(),
    "invalid UTF-8 alone": base64.b64encode(b"\xc3(").decode(),
    "not base64": "not base64!",
    "base64 cut short": "YQ",
}


@both_routes
def test_a_base64_body_that_is_not_utf8_is_a_400(
    stack: Stack, route: tuple[str, str, str], subtests: pytest.Subtests
) -> None:
    function, method, path = route
    for case, content in UNREADABLE_BASE64.items():
        with subtests.test(case):
            event = api_event(method, path) | {"body": content, "isBase64Encoded": True}
            problem_of(stack.invoke(function, event), 400)


def test_a_base64_body_of_good_json_is_read(stack: Stack) -> None:
    body = base64.b64encode('{"query": "Où est-ce?"}'.encode()).decode()
    event = api_event("POST", "/api/v1/query") | {"body": body, "isBase64Encoded": True}
    response = stack.invoke("query", event)
    assert response["statusCode"] == 200
    assert response["json"]["query"] == "Où est-ce?"


@both_routes
def test_a_body_that_is_not_an_object_is_a_422(
    stack: Stack, route: tuple[str, str, str], subtests: pytest.Subtests
) -> None:
    for body in ["[]", '["query"]', '"query"', "5", "true", "null"]:
        with subtests.test(body):
            assert fields_of(stack.call(*route, body=body)) == [""]


def asking(**fields: object) -> dict[str, object]:
    return {"query": "When do we launch?", **fields}


def filtering(**filters: object) -> dict[str, object]:
    return asking(filters=filters)


INVALID_QUERIES: dict[str, tuple[dict[str, object], list[str]]] = {
    "query missing": ({}, ["query"]),
    "query null": ({"query": None}, ["query"]),
    "query a number": ({"query": 5}, ["query"]),
    "query a list": ({"query": ["when"]}, ["query"]),
    "query empty": ({"query": ""}, ["query"]),
    "query blank": ({"query": " \t\n "}, ["query"]),
    "query of nothing to be seen": ({"query": "\u200b\ufeff\u202e"}, ["query"]),
    "query of no-break spaces": ({"query": "\u00a0\u2003"}, ["query"]),
    "query of 2,001 characters": ({"query": "x" * 2_001}, ["query"]),
    "query of 2,001 emoji": ({"query": "🎙" * 2_001}, ["query"]),
    "query with NUL": ({"query": "when\0"}, ["query"]),
    "query with an escape character": ({"query": "when\x1b[31m"}, ["query"]),
    "top_k 0": (asking(top_k=0), ["top_k"]),
    "top_k -1": (asking(top_k=-1), ["top_k"]),
    "top_k 51": (asking(top_k=51), ["top_k"]),
    "top_k text": (asking(top_k="5"), ["top_k"]),
    "top_k null": (asking(top_k=None), ["top_k"]),
    "top_k true": (asking(top_k=True), ["top_k"]),
    "top_k 5.0": (asking(top_k=5.0), ["top_k"]),
    "top_k 5.5": (asking(top_k=5.5), ["top_k"]),
    "top_k of 100 digits": (asking(top_k=10**100), ["top_k"]),
    "min_score -0.1": (asking(min_score=-0.1), ["min_score"]),
    "min_score 1.1": (asking(min_score=1.1), ["min_score"]),
    "min_score text": (asking(min_score="0.5"), ["min_score"]),
    "min_score true": (asking(min_score=True), ["min_score"]),
    "min_score NaN": (asking(min_score=float("nan")), ["min_score"]),
    "min_score infinite": (asking(min_score=float("inf")), ["min_score"]),
    "answer text": (asking(answer="false"), ["answer"]),
    "answer a number": (asking(answer=0), ["answer"]),
    "answer null": (asking(answer=None), ["answer"]),
    "unknown field": (asking(topk=5), ["topk"]),
    "filters null": (asking(filters=None), ["filters"]),
    "filters a list": (asking(filters=[]), ["filters"]),
    "unknown filter": (filtering(speaker=["Dana"]), ["filters.speaker"]),
    "recording_ids text": (filtering(recording_ids="abc"), ["filters.recording_ids"]),
    "recording_ids of numbers": (filtering(recording_ids=[1]), ["filters.recording_ids.0"]),
    "recording_ids empty id": (filtering(recording_ids=[""]), ["filters.recording_ids.0"]),
    "recording_ids too many": (filtering(recording_ids=["x"] * 101), ["filters.recording_ids"]),
    "speakers text": (filtering(speakers="Dana"), ["filters.speakers"]),
    "speakers blank": (filtering(speakers=["Dana", " "]), ["filters.speakers.1"]),
    "speakers with NUL": (filtering(speakers=["Da\0na"]), ["filters.speakers.0"]),
    "speakers too many": (filtering(speakers=["x"] * 21), ["filters.speakers"]),
    "tags null": (filtering(tags=None), ["filters.tags"]),
    "tags of 101 characters": (filtering(tags=["x" * 101]), ["filters.tags.0"]),
    "recorded_from not a date": (filtering(recorded_from="yesterday"), ["filters.recorded_from"]),
    "recorded_from a number": (filtering(recorded_from=1_700_000_000), ["filters.recorded_from"]),
    "recorded_from a number as text": (filtering(recorded_from="1700000000"), ["filters.recorded_from"]),
    "recorded_from without a zone": (filtering(recorded_from="2026-04-27T09:00:00"), ["filters.recorded_from"]),
    "recorded_to a day alone": (filtering(recorded_to="2026-04-27"), ["filters.recorded_to"]),
    "recorded_to on 30 February": (filtering(recorded_to="2026-02-30T09:00:00Z"), ["filters.recorded_to"]),
    "several at once": ({"query": "   ", "top_k": 51, "surprise": 1}, ["query", "top_k", "surprise"]),
}


def test_an_invalid_query_names_its_field(stack: Stack, subtests: pytest.Subtests) -> None:
    for case, (body, fields) in INVALID_QUERIES.items():
        with subtests.test(case):
            assert sorted(fields_of(stack.call(*QUERY, body=body))) == sorted(fields)


def test_recorded_from_after_recorded_to_names_both(stack: Stack) -> None:
    body = filtering(recorded_from="2026-04-28T00:00:00Z", recorded_to="2026-04-27T23:59:59Z")
    problem = problem_of(stack.call(*QUERY, body=body), 422)
    (error,) = problem["errors"]
    assert error["field"].startswith("filters")
    assert "recorded_from" in error["message"]
    assert "recorded_to" in error["message"]


def test_recorded_from_is_compared_across_time_zones(stack: Stack) -> None:
    # 10:00 in Berlin is an hour before 09:30 in London.
    body = filtering(recorded_from="2026-04-27T10:00:00+02:00", recorded_to="2026-04-27T09:30:00+01:00")
    assert stack.call(*QUERY, body=body)["statusCode"] == 200


def test_an_instant_at_the_end_of_the_calendar_is_no_unhandled_exception(
    stack: Stack, subtests: pytest.Subtests
) -> None:
    stack.add("notes.txt", "We launch on the third of June.", recorded_at="2026-04-27T09:00:00Z")
    for instant in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"):
        for name in ("recorded_from", "recorded_to"):
            with subtests.test(f"{name} {instant}"):
                assert stack.call(*QUERY, body=filtering(**{name: instant}))["statusCode"] in (200, 422)


def test_a_filter_on_a_recording_that_does_not_exist_finds_nothing(stack: Stack, subtests: pytest.Subtests) -> None:
    stack.add("notes.txt", "We launch on the third of June.")
    for recording_id in ("nothing-has-this-id", "0" * 36, "'; DROP TABLE passages; --", "ü\u202e"):
        with subtests.test(recording_id):
            body = stack.ask("When do we launch?", filters={"recording_ids": [recording_id]})
            assert body["results"] == []
            assert body["total_results"] == 0
            assert body["answer"]["status"] == "not_found"
            assert body["answer"]["citations"] == []


ODD_QUESTIONS = {
    "2,000 characters": "x" * 2_000,
    "2,000 characters between spaces": " " * 50 + "x" * 2_000 + " " * 50,
    "a question mark": "?",
    "emoji": "🎙",
    "full-text syntax": 'NEAR("a" "b")',
    "a tab and a line end": "a\ttab\nand a line",
    "a zero-width space in a word": "la\u200bunch",
}


def test_an_odd_question_is_still_a_question(stack: Stack, subtests: pytest.Subtests) -> None:
    stack.add("notes.txt", "We launch on the third of June.")
    for case, question in ODD_QUESTIONS.items():
        with subtests.test(case):
            assert stack.ask(question)["query"] == question.strip()


def filed(filename: str, **fields: object) -> dict[str, object]:
    return {"filename": filename, **fields}


INVALID_UPLOADS: dict[str, tuple[dict[str, object], list[str]]] = {
    "filename missing": ({}, ["filename"]),
    "filename null": ({"filename": None}, ["filename"]),
    "filename a number": ({"filename": 5}, ["filename"]),
    "filename empty": (filed(""), ["filename"]),
    "filename blank": (filed("   "), ["filename"]),
    "filename with a line separator": (filed("a\u2028b.vtt"), ["filename"]),
    "filename with DEL": (filed("a\x7fb.vtt"), ["filename"]),
    "an unusable filename, and a size": (filed("a.exe", size_bytes=62_914_560), ["filename"]),
    "filename without extension": (filed("meeting"), ["filename"]),
    "filename an extension alone": (filed(".vtt"), ["filename"]),
    "filename ends in a dot": (filed("meeting."), ["filename"]),
    "filename of another type": (filed("slides.pptx"), ["filename"]),
    "filename with a path": (filed("../meeting.vtt"), ["filename"]),
    "filename with a folder": (filed("a/meeting.vtt"), ["filename"]),
    "filename with a Windows path": (filed("C:\\meeting.vtt"), ["filename"]),
    "filename with NUL": (filed("meeting\0.vtt"), ["filename"]),
    "filename with NUL after the extension": (filed("meeting.vtt\0.exe"), ["filename"]),
    "filename with a line end": (filed("meet\ning.vtt"), ["filename"]),
    "filename of 300 characters": (filed("m" * 296 + ".vtt"), ["filename"]),
    "size over the limit": (filed("m.vtt", size_bytes=MAX_UPLOAD_BYTES + 1), ["size_bytes"]),
    "size 0": (filed("m.vtt", size_bytes=0), ["size_bytes"]),
    "size negative": (filed("m.vtt", size_bytes=-1), ["size_bytes"]),
    "size text": (filed("m.vtt", size_bytes="5"), ["size_bytes"]),
    "size true": (filed("m.vtt", size_bytes=True), ["size_bytes"]),
    "size 5.0": (filed("m.vtt", size_bytes=5.0), ["size_bytes"]),
    "title blank": (filed("m.vtt", title=" "), ["title"]),
    "title a number": (filed("m.vtt", title=7), ["title"]),
    "title of 201 characters": (filed("m.vtt", title="t" * 201), ["title"]),
    "title with NUL": (filed("m.vtt", title="a\0b"), ["title"]),
    "recorded_at not a date": (filed("m.vtt", recorded_at="soon"), ["recorded_at"]),
    "recorded_at without a zone": (filed("m.vtt", recorded_at="2026-04-27T09:00:00"), ["recorded_at"]),
    "recorded_at a number": (filed("m.vtt", recorded_at=1_700_000_000), ["recorded_at"]),
    "recorded_at a number as text": (filed("m.vtt", recorded_at="1700000000"), ["recorded_at"]),
    "language not a tag": (filed("m.vtt", language="English please"), ["language"]),
    "language with a line end": (filed("m.vtt", language="en\n"), ["language"]),
    "tags text": (filed("m.vtt", tags="meeting"), ["tags"]),
    "tags null": (filed("m.vtt", tags=None), ["tags"]),
    "tags blank": (filed("m.vtt", tags=["meeting", ""]), ["tags.1"]),
    "tags too many": (filed("m.vtt", tags=["t"] * 21), ["tags"]),
    "unknown field": (filed("m.vtt", file_name="m.vtt"), ["file_name"]),
    "someone's own id": (filed("m.vtt", recording_id="0" * 36), ["recording_id"]),
}


def test_an_invalid_upload_names_its_field(stack: Stack, subtests: pytest.Subtests) -> None:
    for case, (body, fields) in INVALID_UPLOADS.items():
        with subtests.test(case):
            assert fields_of(stack.call(*UPLOADS, body=body)) == fields


def test_an_invalid_upload_leaves_no_row(stack: Stack) -> None:
    problem_of(stack.call(*UPLOADS, body=filed("slides.pptx")), 422)
    assert stack.call("recordings", "GET", "/api/v1/recordings")["json"]["recordings"] == []


def test_an_instant_that_utc_cannot_hold_is_a_422(stack: Stack, subtests: pytest.Subtests) -> None:
    for instant in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with subtests.test(instant):
            assert fields_of(stack.call(*UPLOADS, body=filed("m.vtt", recorded_at=instant))) == ["recorded_at"]


def test_a_refused_filename_lists_what_is_accepted(stack: Stack) -> None:
    (error,) = problem_of(stack.call(*UPLOADS, body=filed("slides.pptx")), 422)["errors"]
    accepted = {".vtt", ".srt", ".txt", ".md", ".json"}
    accepted |= {".amr", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".wav", ".webm"}
    assert accepted <= set(error["message"].split())


INVALID_PAGES: dict[str, tuple[dict[str, str], list[str]]] = {
    "limit 0": ({"limit": "0"}, ["limit"]),
    "limit 101": ({"limit": "101"}, ["limit"]),
    "limit a word": ({"limit": "many"}, ["limit"]),
    "limit empty": ({"limit": ""}, ["limit"]),
    "limit true": ({"limit": "true"}, ["limit"]),
    "limit 2.5": ({"limit": "2.5"}, ["limit"]),
    "limit of 5,000 digits": ({"limit": "9" * 5_000}, ["limit"]),
    "cursor not base64": ({"cursor": "***"}, ["cursor"]),
    "cursor not ASCII": ({"cursor": "é"}, ["cursor"]),
    "cursor not UTF-8 inside": ({"cursor": base64.urlsafe_b64encode(b"\xff\xfe").decode()}, ["cursor"]),
    "cursor of somebody else's": ({"cursor": base64.urlsafe_b64encode(b"hello").decode()}, ["cursor"]),
    "cursor of 201 characters": ({"cursor": "x" * 201}, ["cursor"]),
    "status unknown": ({"status": "done"}, ["status"]),
    "status in capitals": ({"status": "READY"}, ["status"]),
    "unknown parameter": ({"page": "2"}, ["page"]),
}


def test_an_invalid_page_names_its_parameter(stack: Stack, subtests: pytest.Subtests) -> None:
    for case, (query, fields) in INVALID_PAGES.items():
        with subtests.test(case):
            assert fields_of(stack.call("recordings", "GET", "/api/v1/recordings", query=query)) == fields


def test_deep_must_be_true_or_false(stack: Stack) -> None:
    assert fields_of(stack.call("health", "GET", "/health", query={"deep": "maybe"})) == ["deep"]


def test_an_unknown_recording_is_a_404(stack: Stack, subtests: pytest.Subtests) -> None:
    for recording_id in ("unknown", "0" * 36, "%00", "a b", "é", "x" * 1_000, "..", "null"):
        for method in ("GET", "DELETE"):
            with subtests.test(f"{method} {recording_id[:20]}"):
                problem_of(stack.call("recordings", method, f"/api/v1/recordings/{recording_id}"), 404)


ROUTES = [
    ("query", "/api/v1/query"),
    ("upload_presign", "/api/v1/uploads"),
    ("recordings", "/api/v1/recordings"),
    ("recordings", "/api/v1/recordings/abc"),
    ("health", "/health"),
    ("site", "/"),
]


def test_a_wrong_method_is_a_404_that_names_it(stack: Stack, subtests: pytest.Subtests) -> None:
    for function, path in ROUTES:
        for method in ("PUT", "PATCH", "HEAD", "OPTIONS", "BREW"):
            with subtests.test(f"{method} {path}"):
                problem = problem_of(stack.call(function, method, path, body="{}"), 404)
                assert f"{method} {path}" in problem["detail"]


def test_an_unknown_path_is_a_404(stack: Stack, subtests: pytest.Subtests) -> None:
    for function in ("query", "upload_presign", "recordings", "health", "site"):
        for path in ("/api/v2/query", "/nothing", "/api/v1/recordings/a/b", '/"quoted"', "/\ud800"):
            with subtests.test(f"{function} {path!r}"):
                problem_of(stack.call(function, "GET", path), 404)


def test_an_error_never_repeats_what_was_sent(stack: Stack) -> None:
    planted = "Hollowgate-17"
    bodies: list[object] = [
        {"query": planted * 400},
        {"query": [planted]},
        {"query": "x", "filters": {"recorded_from": planted}},
        {"query": "x", "top_k": planted},
        json.dumps({"query": planted})[:-1],
    ]
    for body in bodies:
        response = stack.call(*QUERY, body=body)
        assert response["statusCode"] in (400, 422)
        assert planted not in response["body"]


def test_only_so_many_errors_are_reported_and_none_at_length(stack: Stack) -> None:
    """Beyond Lambda's 6 MB the caller would read of a function that could not be reached."""
    many = {"query": "launch", **{f"k{nth}": 0 for nth in range(50_000)}}
    assert len(problem_of(stack.call(*QUERY, body=many), 422)["errors"]) == 20
    response = stack.call(*QUERY, body={"query": "launch", "k" * 1_000_000: 0})
    problem_of(response, 422)
    assert len(response["body"]) < 2_000


def test_an_answer_that_cannot_be_sent_asks_for_fewer_results(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.add("launch.txt", "The launch is in June.")
    monkeypatch.setattr("lifestream.api.MAX_RESPONSE_BYTES", 300)
    (error,) = problem_of(stack.call(*QUERY, body={"query": "When is the launch?"}), 422)["errors"]
    assert error["field"] == "top_k"
    (error,) = problem_of(stack.call("recordings", "GET", "/api/v1/recordings"), 422)["errors"]
    assert error["field"] == "limit"


def test_a_filter_that_names_nothing_is_refused(stack: Stack, subtests: pytest.Subtests) -> None:
    """Who works out a list of what somebody may see must not see everything when it is empty."""
    for field in ("recording_ids", "speakers", "tags"):
        with subtests.test(field):
            (error,) = problem_of(stack.call(*QUERY, body={"query": "launch", "filters": {field: []}}), 422)["errors"]
            assert error["field"] == f"filters.{field}"


def test_health_takes_no_other_parameter(stack: Stack) -> None:
    (error,) = problem_of(stack.call("health", "GET", "/health", query={"depp": "true"}), 422)["errors"]
    assert error["field"] == "depp"


def test_the_last_instant_of_the_calendar_can_be_recorded_and_found(stack: Stack) -> None:
    instant = "9999-12-31T23:59:59.999999Z"
    recording_id = stack.add("launch.txt", "The launch is in June.", recorded_at=instant)
    answer = stack.ask("When is the launch?", filters={"recorded_from": instant, "recorded_to": instant})
    assert [result["recording_id"] for result in answer["results"]] == [recording_id]
