"""POST /api/v1/query over recordings that went through the real upload and ingest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lifestream.config import settings
from tests.conftest import BUCKET, EVENTS, Stack

LAUNCH = (EVENTS / "samples" / "launch-meeting.vtt").read_text(encoding="utf-8")
BAKER = (EVENTS / "samples" / "baker-interview.vtt").read_text(encoding="utf-8")
TIDES = (EVENTS / "samples" / "tides-lecture.vtt").read_text(encoding="utf-8")


@pytest.fixture
def library(stack: Stack) -> dict[str, str]:
    """The sample recordings' ids by name."""
    return {
        "launch": stack.add("launch.vtt", LAUNCH, recorded_at="2026-04-27T09:00:00Z", tags=["meeting", "Recorder"]),
        "baker": stack.add("baker.vtt", BAKER, recorded_at="2025-10-18T14:30:00Z", tags=["interview"]),
        "tides": stack.add("tides.vtt", TIDES, tags=["lecture"]),
    }


def recordings_in(body: dict[str, Any]) -> set[str]:
    return {result["recording_id"] for result in body["results"]}


def assert_cited(body: dict[str, Any]) -> None:
    """Every marker in the text is a citation and the reverse, and each lies inside a passage that was returned."""
    answer = body["answer"]
    passages = {result["passage_id"]: result for result in body["results"]}
    markers = [int(marker) for marker in re.findall(r"\[(\d+)\]", answer["text"])]
    assert markers == [citation["marker"] for citation in answer["citations"]] == list(range(1, len(markers) + 1))
    for citation in answer["citations"]:
        passage = passages[citation["passage_id"]]
        assert citation["recording_id"] == passage["recording_id"]
        assert passage["start_ms"] <= citation["start_ms"] <= citation["end_ms"] <= passage["end_ms"]


def test_a_question_is_answered_with_citations(stack: Stack, library: dict[str, str]) -> None:
    body = stack.ask("Did the oven survive the salt water?")
    assert set(body) == {"query", "total_results", "answer", "results", "usage", "timings_ms"}
    assert body["results"][0]["recording_id"] == library["baker"]
    assert body["answer"]["status"] == "answered"
    assert body["answer"]["mode"] == "extractive"
    assert "It stood in salt water for two days." in body["answer"]["text"]
    assert body["answer"]["citations"]
    assert_cited(body)
    assert set(body["usage"]) == {"embedding_tokens", "prompt_tokens", "completion_tokens"}
    assert body["usage"]["embedding_tokens"] > 0
    assert set(body["timings_ms"]) == {"embed", "search", "answer", "total"}


def test_a_citation_carries_the_time_of_its_words(stack: Stack) -> None:
    stack.add(
        "notes.vtt",
        "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\nFirst something else was said here.\n\n"
        "00:01:00.000 --> 00:01:04.500\nThe Quillfeather launches on Wednesday the third of June.\n",
    )
    body = stack.ask("When does the Quillfeather launch?")
    by_text = dict(zip(body["answer"]["text"].split("\n"), body["answer"]["citations"], strict=True))
    (citation,) = [citation for text, citation in by_text.items() if "Quillfeather" in text]
    assert (citation["start_ms"], citation["end_ms"]) == (60_000, 64_500)


def test_results_are_ranked_with_scores_between_0_and_1(stack: Stack, library: dict[str, str]) -> None:
    body = stack.ask("What changed in the price of the recorder and in the flour?", top_k=50)
    scores = [result["score"] for result in body["results"]]
    assert len(scores) >= 3
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert body["total_results"] == len(scores)


def test_a_result_carries_all_that_is_needed_to_show_it(stack: Stack, library: dict[str, str]) -> None:
    result = stack.ask("Who raked out the ashes at two in the morning?")["results"][0]
    assert set(result) == {
        "passage_id",
        "recording_id",
        "title",
        "start_ms",
        "end_ms",
        "speakers",
        "text",
        "score",
        "open_url",
    }
    assert result["title"] == "baker"
    assert result["speakers"] == ["Interviewer", "Ruth Abelard"]
    assert 0 <= result["start_ms"] < result["end_ms"]
    assert "Ruth Abelard: " in result["text"]
    assert result["open_url"] is None


def test_a_recording_with_media_opens_at_the_passage(stack: Stack) -> None:
    from lifestream import bootstrap
    from lifestream.ingest import passages_of
    from lifestream.models import IndexedRecording, Transcript, Utterance

    key = "uploads/talk.mp4"
    transcript = Transcript((Utterance(61_500, 64_000, "The Quillfeather launches in June.", "Dana"),))
    passages = passages_of("talk", transcript)
    vectors = bootstrap.embedder().embed([passage.text for passage in passages]).vectors
    bootstrap.store().put(IndexedRecording("talk", "Talk", media_key=key), passages, vectors)
    url = stack.ask("When does the Quillfeather launch?")["results"][0]["open_url"]
    assert url.startswith(f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/{key}?")
    assert "X-Amz-Signature=" in url
    assert url.endswith("#t=61.5,64")


@pytest.mark.parametrize("hours", [3, 100])
def test_a_passage_late_in_a_long_recording_opens_at_its_millisecond(stack: Stack, hours: int) -> None:
    from lifestream import bootstrap

    start_ms = hours * 3_600_000 + 1_234
    assert (
        bootstrap.files()
        .presign_moment("uploads/talk.mp4", start_ms, start_ms + 1)
        .endswith(f"#t={hours * 3600 + 1}.234,{hours * 3600 + 1}.235")
    )


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"launch", "baker", "tides"}),
    ({"recording_ids": ["baker"]}, {"baker"}),
    ({"recording_ids": ["baker", "tides"]}, {"baker", "tides"}),
    ({"speakers": ["Ruth Abelard"]}, {"baker"}),
    ({"speakers": ["ruth abelard", "STUDENT"]}, {"baker", "tides"}),
    ({"speakers": ["Ruth"]}, set()),
    ({"tags": ["lecture", "recorder"]}, {"launch", "tides"}),
    ({"recorded_from": "2026-01-01T00:00:00Z"}, {"launch"}),
    ({"recorded_to": "2026-01-01T00:00:00Z"}, {"baker"}),
    ({"recorded_from": "2026-04-27T11:00:00+02:00", "recorded_to": "2026-04-27T09:00:00Z"}, {"launch"}),
    ({"recorded_from": "2025-10-18T14:30:00.001Z", "recorded_to": "2026-04-27T08:59:59.999Z"}, set()),
    ({"tags": ["interview"], "speakers": ["Dana Whitfield"]}, set()),
    ({"tags": ["interview"], "recording_ids": ["baker"], "recorded_to": "2026-01-01T00:00:00Z"}, {"baker"}),
]


def test_filters_decide_what_can_be_found(stack: Stack, library: dict[str, str], subtests: pytest.Subtests) -> None:
    for filters, names in FILTERS:
        with subtests.test(str(filters)):
            if "recording_ids" in filters:
                filters = filters | {"recording_ids": [library[name] for name in filters["recording_ids"]]}
            body = stack.ask("What about the recorder, the oven and the Moon?", top_k=50, filters=filters)
            assert recordings_in(body) == {library[name] for name in names}
            assert body["total_results"] == len(body["results"])
            assert body["answer"]["status"] in (("answered", "not_found") if names else ("not_found",))


def test_a_filter_applies_before_the_best_are_taken(stack: Stack) -> None:
    wanted = stack.add("faint.txt", "Somebody mentioned the Quillfeather once.", tags=["faint"])
    for nth in range(6):
        stack.add(f"{nth}.txt", "Quillfeather launch, Quillfeather launch.")
    body = stack.ask("Quillfeather launch?", top_k=1, filters={"tags": ["faint"]})
    assert recordings_in(body) == {wanted}


def test_no_more_than_top_k_are_returned(stack: Stack, library: dict[str, str]) -> None:
    question = "What about the recorder, the oven and the Moon?"
    everything = stack.ask(question, top_k=50)["results"]
    assert len(everything) > 5
    assert stack.ask(question)["results"] == everything[:5]
    assert stack.ask(question, top_k=1)["results"] == everything[:1]


def test_nothing_under_min_score_is_returned(stack: Stack, library: dict[str, str]) -> None:
    question = "What about the recorder, the oven and the Moon?"
    everything = stack.ask(question, top_k=50)["results"]
    bar = everything[2]["score"]
    above = stack.ask(question, top_k=50, min_score=bar)["results"]
    assert [result["passage_id"] for result in above] == [
        result["passage_id"] for result in everything if result["score"] >= bar
    ]
    assert stack.ask(question, min_score=1)["results"] == []


def test_an_empty_library_says_not_found(stack: Stack) -> None:
    body = stack.ask("Is anybody there?")
    assert body["results"] == []
    assert body["total_results"] == 0
    assert body["answer"] == {"status": "not_found", "mode": "extractive", "text": "", "citations": []}


def test_a_question_about_nothing_that_was_said_is_not_found(stack: Stack, library: dict[str, str]) -> None:
    body = stack.ask("Which striker did Torino sell to Napoli?")
    assert body["answer"] == {"status": "not_found", "mode": "extractive", "text": "", "citations": []}


def test_without_answer_passages_come_alone(stack: Stack, library: dict[str, str]) -> None:
    body = stack.ask("Did the oven survive the salt water?", answer=False)
    assert body["answer"] is None
    assert body["results"][0]["recording_id"] == library["baker"]


def test_a_bracketed_number_that_was_said_is_no_marker(stack: Stack) -> None:
    stack.add("paper.txt", "As reference [9] says, the Quillfeather launches on the third of June [2026].")
    body = stack.ask("When does the Quillfeather launch, as reference 9 says?")
    assert body["answer"]["status"] == "answered"
    assert_cited(body)


def test_the_question_comes_back_as_it_was_understood(stack: Stack) -> None:
    assert stack.ask("  Où est-ce que ça brûle? 🔥\n")["query"] == "Où est-ce que ça brûle? 🔥"


def test_a_damaged_index_is_an_error_and_never_an_empty_list(stack: Stack) -> None:
    stack.add("notes.txt", "We launch on the third of June.")
    (segment,) = [
        entry["Key"]
        for entry in stack.s3.list_objects_v2(Bucket=BUCKET, Prefix="index/segments/")["Contents"]
        if entry["Key"].endswith(".segment")
    ]
    stack.s3.put_object(Bucket=BUCKET, Key=segment, Body=b"not what was written")
    response = ask_cold(stack)
    assert response["statusCode"] == 500
    assert response["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    assert Path(segment).name in response["json"]["detail"]


def test_an_index_of_another_embedder_is_a_configuration_error(stack: Stack) -> None:
    stack.add("notes.txt", "We launch on the third of June.")
    manifest = json.loads(stack.s3.get_object(Bucket=BUCKET, Key="index/manifest.json")["Body"].read())
    manifest["embedder"] = "somebody-elses-model"
    stack.s3.put_object(Bucket=BUCKET, Key="index/manifest.json", Body=json.dumps(manifest).encode())
    response = ask_cold(stack)
    assert response["statusCode"] == 500
    assert "somebody-elses-model" in response["json"]["detail"]
    assert "'hashing'" in response["json"]["detail"]


def ask_cold(stack: Stack) -> dict[str, Any]:
    """As a function that has just started and holds no index yet."""
    from lifestream import bootstrap

    bootstrap.store.cache_clear()
    bootstrap.questions.cache_clear()
    return stack.call("query", "POST", "/api/v1/query", {"query": "When do we launch?"})


def test_a_bucket_that_is_gone_is_an_error_and_never_an_empty_list(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    from lifestream import bootstrap, config

    monkeypatch.setenv("AWS_S3_BUCKET_NAME", "lifestream-nowhere")
    for kept in (config.settings, bootstrap.store, bootstrap.files):
        kept.cache_clear()
    with pytest.raises(ClientError, match="NoSuchBucket"):
        stack.call("query", "POST", "/api/v1/query", {"query": "When do we launch?"})


def test_s3_out_of_reach_is_a_503_that_says_when_to_come_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    from lifestream import bootstrap, config

    # Port 1 of this machine: nothing listens there, and the answer is immediate.
    monkeypatch.setenv("LIFESTREAM_AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for kept in (config.settings, bootstrap.aws, bootstrap.store, bootstrap.files):
        kept.cache_clear()
    response = stack.call("query", "POST", "/api/v1/query", {"query": "When do we launch?"})
    assert response["statusCode"] == 503
    assert response["multiValueHeaders"]["Retry-After"] == ["5"]
    assert "S3" in response["json"]["detail"]


def test_a_broken_index_is_said_so_by_a_function_that_warms_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.add("a.txt", "Dana: The launch is on the third of June.")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    settings.cache_clear()
    assert settings().in_lambda
    manifest = json.loads(stack.s3.get_object(Bucket=BUCKET, Key="index/manifest.json")["Body"].read())
    stack.s3.put_object(Bucket=BUCKET, Key=f"index/{manifest['segments'][0]['name']}", Body=b"damaged")
    response = stack.call("query", "POST", "/api/v1/query", {"query": "When is the launch?"})
    assert response["statusCode"] == 500
    assert manifest["segments"][0]["name"] in response["json"]["detail"]


@pytest.mark.parametrize("question", ["How are you?", "What is it about?"])
def test_a_question_of_stop_words_alone_gets_no_weight_from_them(stack: Stack, question: str) -> None:
    stack.add("a.txt", "Dana: What it is about is how you are in June.")
    stack.add("b.txt", "Lee: The chamber is free.")
    assert all(result["score"] <= 0.6 for result in stack.ask(question)["results"])
