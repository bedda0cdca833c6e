"""How we talk to AWS: the clients' timeouts, retries and endpoint, and the one translation of "did not answer"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError

from lifestream.errors import DependencyUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from lifestream.config import Settings

_TRY_LATER = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)


class AwsClients:
    """Clients of one process, made on first use. Path-style and signature 4: presigned URLs depend on both."""

    def __init__(
        self, settings: Settings, connect_timeout_s: float = 2, read_timeout_s: float = 10, attempts: int = 3
    ) -> None:
        self._session = boto3.Session(region_name=settings.region)
        self._endpoint_url = settings.endpoint_url or None
        self._config = Config(
            connect_timeout=connect_timeout_s,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
            signature_version="s3v4",
            # A bucket's own host name resolves nowhere on an emulator.
            s3={"addressing_style": "path" if settings.endpoint_url else "virtual"},
        )

    def s3(self) -> S3Client:
        return self._session.client("s3", endpoint_url=self._endpoint_url, config=self._config)

    def dynamodb(self) -> DynamoDBClient:
        config = self._config.merge(Config(signature_version="v4"))
        return self._session.client("dynamodb", endpoint_url=self._endpoint_url, config=config)

    def sqs(self) -> SQSClient:
        config = self._config.merge(Config(signature_version="v4"))
        return self._session.client("sqs", endpoint_url=self._endpoint_url, config=config)


@contextmanager
def calling(dependency: str) -> Iterator[None]:
    """Raise DependencyUnavailable where `dependency` is out of reach or says to come back later.

    What it refuses for good (a missing permission, a missing table) propagates: that is for the alarm.
    """
    try:
        yield
    except (UnreachableError, HTTPClientError) as error:
        raise DependencyUnavailable(dependency, f"{dependency} cannot be reached.") from error
    except ClientError as error:
        if error.response["Error"].get("Code") in _TRY_LATER:
            raise DependencyUnavailable(dependency, f"{dependency} asked us to come back later.") from error
        raise
