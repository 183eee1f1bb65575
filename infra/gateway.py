"""What API Gateway answers by itself, without asking the function, as the problem documents that it answers with."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.kernel import errors
from chalicelib.web import problems

_ANSWERS: dict[str, type[errors.Problem]] = {
    "ACCESS_DENIED": errors.Forbidden,
    "API_CONFIGURATION_ERROR": errors.Problem,
    "BAD_REQUEST_BODY": errors.Malformed,
    "BAD_REQUEST_PARAMETERS": errors.Malformed,
    "EXPIRED_TOKEN": errors.Unauthorized,
    "INTEGRATION_FAILURE": errors.Unavailable,
    "INTEGRATION_TIMEOUT": errors.Unavailable,
    "INVALID_API_KEY": errors.Forbidden,
    "INVALID_SIGNATURE": errors.Forbidden,
    # An unknown path, or a known one with a method that it does not take: API Gateway tells them not apart.
    "MISSING_AUTHENTICATION_TOKEN": errors.NotFound,
    "QUOTA_EXCEEDED": errors.TooMany,
    "REQUEST_TOO_LARGE": errors.TooLarge,
    "RESOURCE_NOT_FOUND": errors.NotFound,
    "THROTTLED": errors.TooMany,
    "UNAUTHORIZED": errors.Unauthorized,
    "UNSUPPORTED_MEDIA_TYPE": errors.WrongMediaType,
    "WAF_FILTERED": errors.Forbidden,
}


def answers() -> dict[str, Any]:
    """Each kind of answer by API Gateway's name for it."""
    return {kind: _answer(problem) for kind, problem in _ANSWERS.items()}


def _answer(problem: type[errors.Problem]) -> dict[str, Any]:
    """API Gateway cannot choose a language, so it says both."""
    documents = [problems.document(problem(detail_args={"seconds": "1"}), language, "") for language in ("zh-CN", "en")]
    document = {
        **documents[1],
        "title": " / ".join(each["title"] for each in documents),
        "detail": " / ".join(each["detail"] for each in documents),
        "request_id": "$context.requestId",
    }
    parameters = {"gatewayresponse.header.Content-Language": "'zh-CN, en'"}
    if problem.status in (429, 503):
        parameters["gatewayresponse.header.Retry-After"] = "'1'"
    return {
        "statusCode": str(problem.status),
        "responseParameters": parameters,
        "responseTemplates": {problems.MEDIA_TYPE: json.dumps(document, ensure_ascii=False)},
    }
