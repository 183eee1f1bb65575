"""Text messages through Amazon SNS.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and its list of errors.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import Any

from chalicelib.providers.ports import ProviderUnavailable, SmsRefused
from chalicelib.runtime import log
from chalicelib.runtime.settings import SettingsError, settings

# The number itself is the trouble: it is none, or its owner has opted out.
_REFUSED = {"InvalidParameter", "InvalidParameterException", "OptedOut", "OptedOutException"}


class SnsSender:
    """Satisfies `ports.SmsSender`. SNS knows no dedupe key: a message is sent once as far as its receipt can tell, so
    a call whose answer is lost is not repeated in here."""

    def __init__(self) -> None:
        """Raises SettingsError for a sender that SNS would refuse with every message."""
        self._sender = settings().sms_sender_id
        if not re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}", self._sender, re.ASCII):
            raise SettingsError("LINLI_SMS_SENDER_ID must be 1 to 11 letters and digits, with a letter")

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
        return boto3.client("sns", region_name=os.environ.get("AWS_DEFAULT_REGION", "us-east-1"), config=config)

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:  # noqa: ARG002  # the port's words
        """Returns SNS's message id. Raises SmsRefused or ProviderUnavailable; neither names the number or the text."""
        from botocore.exceptions import BotoCoreError, ClientError

        attributes = {
            "AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": self._sender},
            "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"},
        }
        try:
            answer = self._client.publish(PhoneNumber=to, Message=text, MessageAttributes=attributes)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            log.warning("SNS did not take a message", code=code, template=template)
            if code in _REFUSED:
                raise SmsRefused from None
            raise ProviderUnavailable(retry_after_seconds=5) from None
        except BotoCoreError as error:
            log.warning("SNS did not answer", error=type(error).__name__, template=template)
            raise ProviderUnavailable(retry_after_seconds=5) from None
        return str(answer["MessageId"])
