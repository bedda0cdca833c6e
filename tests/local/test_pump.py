"""Messages reach the function in Lambda's shape; what succeeded is deleted, what failed comes back or is set aside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from local.aws import AwsStandIns
from local.pump import Pump
from local.template import QueueSource
from local.workers import FunctionError

Events = list[dict[str, Any]]


class Function:
    """Remembers its events, and answers each as `answer` says."""

    def __init__(self) -> None:
        self.events: Events = []
        self.answer: Callable[[dict[str, Any]], Any] = lambda _: None

    def __call__(self, event: dict[str, Any]) -> Any:
        self.events.append(event)
        return self.answer(event)

    def fails_once_with(self, answer: Any) -> None:
        self.answer = lambda _: answer if len(self.events) == 1 else None


def _source(arn: str) -> QueueSource:
    return QueueSource(function="Reader", queue_arn=arn, batch_size=5, reports_item_failures=True)


@pytest.fixture(scope="module")
def fed(aws: AwsStandIns) -> Iterator[Function]:
    """One pump for the whole file: a stopped one may still hold a poll, and take the next test's message."""
    function = Function()
    queue = aws.resources["Queue"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.pump.RETRY_AFTER_S", 0)
        pump = Pump(aws.client("sqs"), queue.ref, _source(queue.attributes["Arn"]), function)
        yield function
        pump.stop()


@pytest.fixture
def function(fed: Function) -> Function:
    fed.__init__()  # type: ignore[misc]  # as new
    return fed


def send(aws: AwsStandIns, *bodies: str) -> None:
    for body in bodies:
        aws.client("sqs").send_message(
            QueueUrl=aws.resources["Queue"].ref,
            MessageBody=body,
            MessageAttributes={"kind": {"DataType": "String", "StringValue": "test"}},
        )


def waiting(aws: AwsStandIns, queue: str) -> int:
    """Messages in the queue, in flight or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=aws.resources[queue].ref, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def bodies(event: dict[str, Any]) -> list[str]:
    return [record["body"] for record in event["Records"]]


def failing(body: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        ids = [record["messageId"] for record in event["Records"] if record["body"] == body]
        return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in ids]}

    return answer


def test_a_message_has_lambda_s_shape_and_is_deleted_on_success(aws: AwsStandIns, function: Function) -> None:
    send(aws, '{"a": 1}')
    until(lambda: len(function.events) == 1 and waiting(aws, "Queue") == 0)
    (record,) = function.events[0]["Records"]
    assert record["body"] == '{"a": 1}'
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == aws.resources["Queue"].attributes["Arn"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["kind"]["stringValue"] == "test"
    assert set(record) >= {"messageId", "receiptHandle", "md5OfBody", "awsRegion"}


def test_a_batch_is_no_larger_than_the_template_says(aws: AwsStandIns, function: Function) -> None:
    release = threading.Event()
    function.answer = lambda _: release.wait(10) and None
    send(aws, *(str(number) for number in range(7)))
    release.set()
    until(lambda: waiting(aws, "Queue") == 0)
    sizes = [len(event["Records"]) for event in function.events]
    assert sum(sizes) == 7
    assert max(sizes) == 5


def test_of_a_batch_only_the_failed_item_comes_back(aws: AwsStandIns, function: Function) -> None:
    release = threading.Event()
    function.answer = lambda _: release.wait(10) and None
    send(aws, "first")
    until(lambda: len(function.events) == 1)
    send(aws, "good", "bad")
    fail_bad = failing("bad")
    function.answer = lambda event: fail_bad(event) if len(function.events) == 2 else None
    release.set()
    until(lambda: waiting(aws, "Queue") == 0)
    assert [bodies(event) for event in function.events] == [["first"], ["good", "bad"], ["bad"]]
    assert function.events[2]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_what_keeps_failing_ends_in_the_dead_letter_queue(aws: AwsStandIns, function: Function) -> None:
    def always_raise(_: dict[str, Any]) -> None:
        raise FunctionError("ValueError", "no")

    function.answer = always_raise
    send(aws, "poison")
    until(lambda: waiting(aws, "DeadLetters") == 1)
    assert waiting(aws, "Queue") == 0
    assert [bodies(event) for event in function.events] == [["poison"]] * 2


@pytest.mark.parametrize(
    "answer", [{"batchItemFailures": [{"itemIdentifier": "nobody's"}]}, {"batchItemFailures": [{}]}, {"other": 1}, "x"]
)
def test_an_answer_that_cannot_be_read_fails_the_whole_batch(aws: AwsStandIns, function: Function, answer: Any) -> None:
    function.fails_once_with(answer)
    send(aws, "one")
    until(lambda: waiting(aws, "Queue") == 0)
    assert len(function.events) == 2


def test_without_item_reports_an_answer_is_not_looked_at(aws: AwsStandIns) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="plain")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one")
    function = Function()
    function.answer = failing("one")
    pump = Pump(sqs, url, replace(_source("arn:plain"), reports_item_failures=False), function)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    until(lambda: len(function.events) == 1)
    pump.stop()
    until(lambda: set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) == {"0"})
