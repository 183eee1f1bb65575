"""SMS through Amazon SNS."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from chalicelib.providers.ports import ProviderUnavailable


class Sns:
    """Satisfies `ports.SmsSender`. SNS knows no dedupe key for a telephone number: a repeated call sends again, so the
    caller's own receipt is what keeps a text from going out twice."""

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        # One try: SNS may have sent before its answer was lost, and botocore's own retry would send it again.
        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
        return boto3.client("sns", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), config=config)

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:  # noqa: ARG002  # see the class
        """Sends at once and returns SNS's message id. Raises ProviderUnavailable for any refusal of AWS."""
        from botocore.exceptions import BotoCoreError, ClientError

        kind = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
        try:
            return str(self._client.publish(PhoneNumber=to, Message=text, MessageAttributes=kind)["MessageId"])
        except (BotoCoreError, ClientError) as error:
            raise ProviderUnavailable from error
