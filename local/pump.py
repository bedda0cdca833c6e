"""The SQS event source mapping: takes batches from a queue to a function, and deletes what succeeded.

A message that failed comes back after a second, not after the queue's visibility timeout: nobody watches for 16 min.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from local.template import REGION, QueueSource
from local.workers import FunctionError

RETRY_AFTER_S = 1
_WAIT_S = 1

_LOG = logging.getLogger("local")


class Pump:
    """One thread for one queue. The queue's own redrive policy moves what keeps failing to the dead-letter queue."""

    def __init__(self, sqs: Any, queue_url: str, source: QueueSource, invoke: Callable[[Any], Any]) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._source = source
        self._invoke = invoke
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pump-{source.function}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Takes no further batch. The one in hand, if there is one, is left to its end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._deliver(self._receive())
            except Exception as error:
                if not self._stopping.is_set():  # worker and queue are stopped under a batch in hand
                    # The batch comes back by itself. A pump that ended here would leave every later upload waiting.
                    _LOG.warning("The queue of %s could not be read: %r", self._source.function, error)
                    self._stopping.wait(RETRY_AFTER_S)

    def _receive(self) -> Sequence[Mapping[str, Any]]:
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=min(10, self._source.batch_size),
            WaitTimeSeconds=_WAIT_S,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages", [])
        return messages

    def _deliver(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if not messages:
            return
        ids = {message["MessageId"] for message in messages}
        try:
            answer = self._invoke({"Records": [self._record(message) for message in messages]})
            failed = _failed_items(answer, ids) if self._source.reports_item_failures else set()
        except FunctionError as error:
            if self._stopping.is_set():
                raise
            _LOG.warning("%s failed: %s", self._source.function, error)
            failed = ids
        if failed and not self._stopping.is_set():
            _LOG.warning("%s did not finish %d of %d messages", self._source.function, len(failed), len(messages))
        for message in messages:
            receipt = {"QueueUrl": self._queue_url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                self._sqs.change_message_visibility(**receipt, VisibilityTimeout=RETRY_AFTER_S)
            else:
                self._sqs.delete_message(**receipt)

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {
                    "stringValue": attribute.get("StringValue"),
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": attribute["DataType"],
                }
                for name, attribute in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._source.queue_arn,
            "awsRegion": REGION,
        }


def _failed_items(answer: Any, ids: set[str]) -> set[str]:
    """As Lambda reads it: nothing or an empty list is success; what it cannot read fails the whole batch."""
    if answer is None or answer == {}:
        return set()
    try:
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"] or []}
    except (KeyError, TypeError):
        return ids
    return failed if failed <= ids else ids
