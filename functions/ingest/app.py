"""From the queue: an object was created, a deletion was asked for. One bad message never holds up another."""

from __future__ import annotations

import traceback
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lifestream import bootstrap
from lifestream.api import logger
from lifestream.config import settings
from lifestream.ingest_queue import DeletionAsked, ObjectCreated, read_message

# A batch whose every message failed is still a partial response: raising would only hide which ones they were.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handle_message(record: SQSRecord) -> None:
    logger.set_correlation_id(record.message_id)
    tries, most = int(record.attributes.approximate_receive_count), settings().max_receive_count
    last_try = tries == most
    try:
        match read_message(record.body):
            # The queue delivers once more than is tried, so that a try that killed the function is not the last word.
            case ObjectCreated(key) if tries > most:
                bootstrap.ingest().given_up(key)
            case ObjectCreated(key):
                bootstrap.ingest().object_created(key, last_try)
            case DeletionAsked(recording_id):
                bootstrap.ingest().deletion_asked(recording_id)
    except Exception as error:
        # Not logger.exception: a third party's message may quote what it choked on.
        where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        logger.error("message failed", extra={"error": type(error).__name__, "where": where, "last_try": last_try})
        raise


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    if not event.get("Records"):
        return {"batchItemFailures": []}
    return dict(process_partial_response(event, handle_message, processor, context))
