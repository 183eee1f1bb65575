"""A surface as CloudFormation: what `chalice package --merge-template` lays over the template that Chalice makes.

Chalice knows functions, roles and the API; here stands what it leaves out of its own resources. A name that Chalice
does not use would merge without a word as a resource that does nothing, so `tests/contracts/` looks at the built
templates. Tables, queues and alarms stand in the base stack (`infra.base`).
"""

from __future__ import annotations

import json
from typing import Any

from chalicelib.web.application import HTTP_SURFACES
from infra import gateway, policies
from infra.declare import Function, Stack
from infra.functions import Stage, size_of
from infra.names import (
    FILES_BUCKET,
    PHOTOS_BUCKET,
    PUBLIC_URL_PARAMETER,
    STAGE_PARAMETER,
    TABLE_PREFIX_PARAMETER,
    event_id,
    function_id,
    function_name,
    log_group_id,
    role_id,
    stack_name,
)

Resource = dict[str, Any]

_TRACING = {"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"}
"""Sending a trace has no resource that a policy could name: AWS's own policy says so, none of ours has a star."""


def merge_template(stack: Stack, stage: Stage, surface: str) -> dict[str, Any]:
    """The whole template of one surface. The same Stack gives the same text."""
    made: dict[str, Any] = {
        "Description": f"Linli, {stage.name}: {surface}",
        "Parameters": parameters(stage),
        "Resources": {},
    }
    for function in stack.of(surface):
        made["Resources"] |= _function(function, stack, stage)
    if surface in HTTP_SURFACES:
        made["Resources"] |= _api(stage, surface)
        _add_domain(made, surface)
    return made


def parameters(stage: Stage) -> dict[str, Any]:
    """What differs between deployments of one template."""
    return {
        STAGE_PARAMETER: {"Type": "String", "Default": stage.name, "AllowedValues": [stage.name]},
        TABLE_PREFIX_PARAMETER: {
            "Type": "String",
            "Default": stage.prefix,
            "Description": "Stands before the name of every table; another one after a restore.",
            "AllowedPattern": "[a-z][a-z0-9-]{2,60}-",
        },
        PUBLIC_URL_PARAMETER: {
            "Type": "String",
            "Description": "Where the public API is reached from outside, without a slash at the end.",
            "AllowedPattern": "https?://[^/]+(/[^/]+)*",
        },
    }


def _function(function: Function, stack: Stack, stage: Stage) -> dict[str, Resource]:
    """What Chalice leaves out of a function."""
    own = function_id(function.name)
    variables: dict[str, Any] = {
        "LINLI_PUBLIC_URL": {"Ref": PUBLIC_URL_PARAMETER},
        "LINLI_TABLE_PREFIX": {"Ref": TABLE_PREFIX_PARAMETER},
    }
    names = policies.secret_names(function)
    if names:
        variables["LINLI_SECRET_NAMES"] = ",".join(names)
    if "files" in policies.ports_of(function):
        variables["LINLI_FILES_BUCKET"] = {"Fn::Sub": FILES_BUCKET}
    if "photos" in policies.ports_of(function):
        variables["LINLI_PHOTOS_BUCKET"] = {"Fn::Sub": PHOTOS_BUCKET}
    properties: dict[str, Any] = {
        # Named, so that its policy can name its log group before either exists, and alarms can name it.
        "FunctionName": stage.prefix + function_name(function),
        "Environment": {"Variables": variables},
        "EphemeralStorage": {"Size": size_of(function, stack).disk_mb},
    }
    if function.queue:
        source = {
            # Without the response type Lambda deletes what the consumer gave back.
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            # More readers than processors would receive messages only to put them back, nearer to the dead letters.
            "ScalingConfig": {"MaximumConcurrency": size_of(function, stack).concurrency},
        }
        properties["Events"] = {event_id(function.name): {"Properties": source}}
    return {
        own: {"Properties": properties},
        role_id(function.name): {"Properties": {"ManagedPolicyArns": [_TRACING]}},
        # Chalice names the API's log group after a function that it has renamed.
        log_group_id(function.name): {"Properties": {"LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{own}}}"}}},
    }


ACCESS_LOG_ID = "AccessLog"
TLS = "SecurityPolicy_TLS13_1_2_2021_06"
"""TLS 1.2 and 1.3. Without a policy API Gateway would still speak TLS 1.0."""
CERTIFICATE = "CertificateArn"
_HAS_DOMAIN = "HasDomain"

# One line a call. The path is the route's, without ids and without a query string, and nobody's address stands in it.
_ACCESS_LINE = {
    "request_id": "$context.requestId",
    "trace_id": "$context.xrayTraceId",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "answer": "$context.error.responseType",
    "bytes": "$context.responseLength",
    "ms": "$context.responseLatency",
    "function_ms": "$context.integrationLatency",
}


def _api(stage: Stage, surface: str) -> dict[str, Resource]:
    """The API's own name, by which its metrics are found, its throttle, its log, and problem documents for answers."""
    name = stack_name(stage.name, surface)
    throttle = stage.throttles[surface]
    every_method = {
        "HttpMethod": "*",
        "ResourcePath": "/*",
        "ThrottlingRateLimit": throttle.rate,
        "ThrottlingBurstLimit": throttle.burst,
    }
    body = {"info": {"title": name}, "x-amazon-apigateway-gateway-responses": gateway.answers()}
    log = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": f"/aws/apigateway/{name}", "RetentionInDays": stage.log_days},
    }
    properties = {
        "Name": name,
        # Without it SAM makes a second stage, named Stage.
        "OpenApiVersion": "2.0",
        "DefinitionBody": body,
        "MethodSettings": [every_method],
        "TracingEnabled": True,
        "SecurityPolicy": TLS,
        "EndpointAccessMode": "BASIC",
        # With a domain of one's own nobody needs the other way in.
        "DisableExecuteApiEndpoint": {"Fn::If": [_HAS_DOMAIN, True, False]},
        "AccessLogSetting": {
            "DestinationArn": {"Fn::GetAtt": [ACCESS_LOG_ID, "Arn"]},
            "Format": json.dumps(_ACCESS_LINE),
        },
    }
    return {"RestAPI": {"Properties": properties}, ACCESS_LOG_ID: log}


def domain_parameter(surface: str) -> str:
    """The parameter with a surface's own domain: `PublicDomain`."""
    return f"{surface.capitalize()}Domain"


def _add_domain(template: dict[str, Any], surface: str) -> None:
    """A domain of one's own, made where a name for it is given."""
    name = domain_parameter(surface)
    template["Parameters"] |= {
        name: {
            "Type": "String",
            "Default": "",
            "Description": f"The domain of the API {surface}, such as api.example.org; empty for API Gateway's own.",
            "AllowedPattern": "([a-z0-9-]+([.][a-z0-9-]+)+)?",
        },
        CERTIFICATE: {
            "Type": "String",
            "Default": "",
            "Description": "The certificate for the domains, from ACM in this region.",
            "AllowedPattern": "(arn:[a-z-]+:acm:.+)?",
        },
    }
    template["Conditions"] = {_HAS_DOMAIN: {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}}
    domain = {
        "Type": "AWS::ApiGateway::DomainName",
        "Condition": _HAS_DOMAIN,
        "Properties": {
            "DomainName": {"Ref": name},
            "RegionalCertificateArn": {"Ref": CERTIFICATE},
            "EndpointConfiguration": {"Types": ["REGIONAL"]},
            "SecurityPolicy": TLS,
            "EndpointAccessMode": "BASIC",
        },
    }
    mapping = {
        "Type": "AWS::ApiGateway::BasePathMapping",
        "Condition": _HAS_DOMAIN,
        "Properties": {
            "DomainName": {"Ref": "Domain"},
            "RestApiId": {"Ref": "RestAPI"},
            "Stage": {"Ref": "RestAPI.Stage"},
        },
    }
    template["Resources"] |= {"Domain": domain, "DomainMapping": mapping}
    target = {"Condition": _HAS_DOMAIN, "Value": {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}}
    own = {"Condition": _HAS_DOMAIN, "Value": {"Fn::Sub": f"https://${{{name}}}"}}
    template["Outputs"] = {"DomainTarget": target, "DomainURL": own}
