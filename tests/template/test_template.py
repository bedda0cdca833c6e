"""What the stack promises, read off template.yaml and off what SAM makes of it.

Apart from `sam validate --lint`, which knows what CloudFormation accepts but not what we mean.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from lifestream.config import Settings

ROOT = Path(__file__).parents[2]

FUNCTIONS = {
    "HealthFunction",
    "IngestFunction",
    "QueryFunction",
    "RecordingsFunction",
    "SiteFunction",
    "UploadPresignFunction",
}
PUBLIC_ROUTES = {("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/health")}
API_ROUTES = {
    ("POST", "/api/v1/uploads"),
    ("GET", "/api/v1/recordings"),
    ("GET", "/api/v1/recordings/{recording_id}"),
    ("DELETE", "/api/v1/recordings/{recording_id}"),
    ("POST", "/api/v1/query"),
}

MANAGED_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole": "SAM attaches it to every function, to write its log group",
    "AWSXrayWriteOnlyAccess": "SAM attaches it where tracing is on, and X-Ray knows no resources",
}

READ_BY_POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL"}
SET_BY_LAMBDA = {"AWS_REGION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_SAM_LOCAL"}

# What a gateway response may insert: its templates escape nothing, so nothing that can hold a quote or a backslash.
SAFE_IN_JSON = {"$context.requestId": "c6af9ac6-7b61", "$context.httpMethod": "GET", "$context.stage": "prod"}

Properties = Mapping[str, Any]


# ------------------------------------------------------------------------------------------------ reading the template


def source() -> dict[str, Any]:
    """A fresh copy: SAM's transform changes what it is given."""
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return template


class NoManagedPolicies:
    """We name none, so SAM needs no list of them."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def expansion() -> dict[str, Any]:
    """The CloudFormation template that SAM writes, as JSON gives it back: with the parameters' defaults."""
    template = source()
    for resource in template["Resources"].values():
        for key in ("CodeUri", "ContentUri"):
            if key in resource.get("Properties", {}):
                resource["Properties"][key] = "s3://bucket/key"
    defaults = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    expanded: dict[str, Any] = json.loads(json.dumps(transform(template, defaults, NoManagedPolicies())))
    return expanded


def expanded(kind: str) -> dict[str, Properties]:
    """Properties by logical id."""
    resources = expansion()["Resources"].items()
    return {name: resource["Properties"] for name, resource in resources if resource["Type"] == kind}


def environment(function: Properties) -> Mapping[str, Any]:
    variables: Mapping[str, Any] = function["Environment"]["Variables"]
    return variables


def routes() -> dict[tuple[str, str], Properties]:
    return {
        (method.upper(), path): operation
        for path, operations in expanded("AWS::ApiGateway::RestApi")["LifeStreamApi"]["Body"]["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }


def roles() -> Iterator[tuple[str, Properties]]:
    for name, role in expanded("AWS::IAM::Role").items():
        yield name.removesuffix("Role"), role


def statements(role: Properties) -> Iterator[Properties]:
    for policy in role.get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class ReadVariables(dict[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


# ---------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("name", source()["Parameters"])
def test_every_parameter_has_a_default_and_says_what_it_is(name: str) -> None:
    parameter = source()["Parameters"][name]
    assert parameter["Default"] != ""
    assert parameter["Description"]


def test_every_parameter_is_asked_for_in_a_group_and_used() -> None:
    template = source()
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert [name for name in grouped if f"!Ref {name}" not in text and f"${{{name}}}" not in text] == []


def test_a_deployed_function_and_a_local_one_have_the_same_defaults() -> None:
    parameters, settings = source()["Parameters"], Settings.from_environment({})
    assert parameters["IndexRefreshSeconds"]["Default"] == settings.index_refresh_s
    assert parameters["AnswerMinScore"]["Default"] == settings.answer_min_score


# ----------------------------------------------------------------------------------------------------------- functions


def test_the_functions_are_those_of_the_design() -> None:
    assert set(expanded("AWS::Lambda::Function")) == FUNCTIONS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_has_its_own_log_group_with_retention(name: str) -> None:
    function = expanded("AWS::Lambda::Function")[name]
    group = name.replace("Function", "LogGroup")
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": group}
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert expanded("AWS::Logs::LogGroup")[group]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_traced(name: str) -> None:
    assert expanded("AWS::Lambda::Function")[name]["TracingConfig"] == {"Mode": "Active"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_runs_where_the_layers_were_built_for(name: str) -> None:
    function = expanded("AWS::Lambda::Function")[name]
    assert function["Runtime"] == {"Ref": "PythonRuntime"}
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    for layer in expanded("AWS::Lambda::LayerVersion").values():
        assert layer["CompatibleRuntimes"] == [{"Ref": "PythonRuntime"}]
        assert layer["CompatibleArchitectures"] == [{"Ref": "Architecture"}]


def test_only_query_and_ingest_attach_the_engines() -> None:
    def layers(function: Properties) -> list[str]:
        return [re.sub("[0-9a-f]{10}$", "", layer["Ref"]) for layer in function["Layers"]]  # SAM appends a hash

    attached = {name: layers(function) for name, function in expanded("AWS::Lambda::Function").items()}
    both = ["LifeStreamLayer", "EnginesLayer"]
    assert attached == {name: ["LifeStreamLayer"] for name in FUNCTIONS} | {
        "QueryFunction": both,
        "IngestFunction": both,
    }


def test_no_function_behind_the_api_outlasts_api_gateway() -> None:
    functions = expanded("AWS::Lambda::Function")
    assert [name for name in FUNCTIONS - {"IngestFunction"} if functions[name]["Timeout"] > 29] == []


# ----------------------------------------------------------------------------------------------------------- variables


def test_every_variable_in_the_template_is_read_by_the_settings_and_the_other_way_round() -> None:
    asked = ReadVariables()
    Settings.from_environment(asked)
    declared = {name for function in expanded("AWS::Lambda::Function").values() for name in environment(function)}
    assert declared - READ_BY_POWERTOOLS == asked.names - SET_BY_LAMBDA


def test_the_variables_that_lambda_sets_are_not_declared() -> None:
    for function in expanded("AWS::Lambda::Function").values():
        assert SET_BY_LAMBDA.isdisjoint(environment(function))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_is_told_of_a_resource_exactly_where_it_may_reach_it(name: str) -> None:
    told = {value["Ref"] for value in environment(expanded("AWS::Lambda::Function")[name]).values() if "Ref" in value}
    permissions = json.dumps(list(statements(dict(roles())[name])))
    reachable = set(re.findall("Recordings(?:Bucket|Table)|IngestQueue", permissions))
    if name == "IngestFunction":
        reachable.remove("IngestQueue")  # Lambda itself polls it
    assert told & {"RecordingsBucket", "RecordingsTable", "IngestQueue"} == reachable


# --------------------------------------------------------------------------------------------------------- permissions


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_permission_has_a_wildcard_action_or_resource(name: str) -> None:
    for statement in statements(dict(roles())[name]):
        assert [action for action in as_list(statement["Action"]) if "*" in action] == []
        for resource in as_list(statement["Resource"]):
            if set(resource) == {"Fn::Sub"}:
                assert re.fullmatch(r"\$\{RecordingsBucket\.Arn}/(uploads|transcripts|index)/\*", resource["Fn::Sub"])
            else:
                assert set(resource) == {"Fn::GetAtt"}, f"{resource} is no resource of this stack"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_managed_policies_are_those_with_a_reason(name: str) -> None:
    attached = {arn["Fn::Sub"] if isinstance(arn, dict) else arn for arn in dict(roles())[name]["ManagedPolicyArns"]}
    assert {arn.split(":policy/")[1] for arn in attached} == set(MANAGED_POLICIES)


def test_whoever_reads_from_the_bucket_can_tell_missing_from_forbidden() -> None:
    for name in ("QueryFunction", "IngestFunction"):
        listing = [s for s in statements(dict(roles())[name]) if s["Action"] == "s3:ListBucket"]
        assert [statement.get("Condition") for statement in listing] == [None]


# ------------------------------------------------------------------------------------------------------------- the API


def test_the_routes_are_those_of_the_contract() -> None:
    assert set(routes()) == PUBLIC_ROUTES | API_ROUTES


@pytest.mark.parametrize("route", sorted(PUBLIC_ROUTES | API_ROUTES), ids=" ".join)
def test_a_route_needs_a_key_exactly_under_api(route: tuple[str, str]) -> None:
    assert routes()[route].get("security") == ([{"api_key": []}] if route in API_ROUTES else None)


def test_the_key_is_the_header_that_api_gateway_reads_and_opens_the_stage() -> None:
    schemes = expanded("AWS::ApiGateway::RestApi")["LifeStreamApi"]["Body"]["components"]["securitySchemes"]
    assert schemes == {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
    assert expanded("AWS::ApiGateway::UsagePlan")["UsagePlan"]["ApiStages"] == [
        {"ApiId": {"Ref": "LifeStreamApi"}, "Stage": {"Ref": "LifeStreamApiStage"}}
    ]
    assert expanded("AWS::ApiGateway::UsagePlanKey")["UsagePlanKey"]["KeyId"] == {"Ref": "ApiKey"}


@pytest.mark.parametrize("route", sorted(PUBLIC_ROUTES | API_ROUTES), ids=" ".join)
def test_the_function_behind_a_route_may_be_called_by_it(route: tuple[str, str]) -> None:
    integration = routes()[route]["x-amazon-apigateway-integration"]
    assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")
    behind = re.search(r"functions/\$\{(\w+)\.Arn}/invocations$", integration["uri"]["Fn::Sub"])
    assert behind
    allowed = {
        (permission["FunctionName"]["Ref"], permission["SourceArn"]["Fn::Sub"][0].partition("${__Stage__}/")[2])
        for permission in expanded("AWS::Lambda::Permission").values()
    }
    assert (behind[1], re.sub(r"\{\w+}", "*", "".join(route))) in allowed


GATEWAY_RESPONSES = source()["Resources"]["LifeStreamApi"]["Properties"]["GatewayResponses"]


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_what_api_gateway_answers_by_itself_is_a_problem_document(kind: str) -> None:
    response = GATEWAY_RESPONSES[kind]
    assert response["ResponseParameters"]["Headers"]["Content-Type"] == "'application/problem+json'"
    [template] = response["ResponseTemplates"].values()
    assert set(re.findall(r"\$[\w.]+\w", template)) <= set(SAFE_IN_JSON)
    for variable, value in SAFE_IN_JSON.items():
        template = template.replace(variable, value)
    problem = json.loads(template)
    assert list(problem) == ["type", "title", "status", "detail", "request_id"]
    assert problem["status"] == response["StatusCode"]
    assert problem["request_id"] == SAFE_IN_JSON["$context.requestId"]


def test_the_gateway_responses_cover_what_api_gateway_answers_by_itself() -> None:
    statuses = {kind: response["StatusCode"] for kind, response in GATEWAY_RESPONSES.items()}
    assert statuses == {
        "MISSING_AUTHENTICATION_TOKEN": 404,
        "RESOURCE_NOT_FOUND": 404,
        "INVALID_API_KEY": 403,
        "ACCESS_DENIED": 403,
        "UNAUTHORIZED": 401,
        "THROTTLED": 429,
        "QUOTA_EXCEEDED": 429,
        "REQUEST_TOO_LARGE": 413,
        "INTEGRATION_TIMEOUT": 504,
        "INTEGRATION_FAILURE": 502,
        "DEFAULT_5XX": 500,
        "DEFAULT_4XX": 400,
    }


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_whoever_is_throttled_is_told_when_to_come_back(kind: str) -> None:
    assert re.fullmatch(r"'\d+'", GATEWAY_RESPONSES[kind]["ResponseParameters"]["Headers"]["Retry-After"])


# ------------------------------------------------------------------------------------------------- recordings coming in


def test_the_bucket_is_private_encrypted_and_kept() -> None:
    resource = source()["Resources"]["RecordingsBucket"]
    bucket = resource["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert "ServerSideEncryptionByDefault" in str(bucket["BucketEncryption"])
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_deleted_recording_leaves_no_older_version_behind() -> None:
    assert "VersioningConfiguration" not in source()["Resources"]["RecordingsBucket"]["Properties"]


def test_the_bucket_and_the_queues_refuse_requests_without_tls() -> None:
    policies = [*expanded("AWS::S3::BucketPolicy").values(), *expanded("AWS::SQS::QueuePolicy").values()]
    assert len(policies) == 3
    for policy in policies:
        [denied] = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert denied["Principal"] == "*"
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_browser_may_upload_from_the_allowed_origins_alone() -> None:
    [rule] = expanded("AWS::S3::Bucket")["RecordingsBucket"]["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == {"Ref": "AllowedOrigins"}
    assert set(rule["AllowedMethods"]) == {"POST", "GET", "HEAD"}
    assert rule["ExposedHeaders"] == ["ETag"]


def test_an_upload_reaches_the_queue_and_nothing_else_may_write_to_it() -> None:
    bucket = expanded("AWS::S3::Bucket")["RecordingsBucket"]
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    rule = expanded("AWS::Events::Rule")["UploadedRule"]
    assert rule["EventPattern"]["detail"] == {
        "bucket": {"name": [{"Ref": "RecordingsBucket"}]},
        "object": {"key": [{"prefix": "uploads/"}]},
    }
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["IngestQueue", "Arn"]}]
    for policy in expanded("AWS::SQS::QueuePolicy").values():
        [allowed] = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
        assert allowed["Action"] == "sqs:SendMessage"
        assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["UploadedRule", "Arn"]}}}


def test_a_message_is_not_handed_out_again_while_a_function_works_on_it() -> None:
    function = expanded("AWS::Lambda::Function")["IngestFunction"]
    assert expanded("AWS::SQS::Queue")["IngestQueue"]["VisibilityTimeout"] > function["Timeout"]
    (source,) = expanded("AWS::Lambda::EventSourceMapping").values()
    assert source["BatchSize"] == 1
    assert source["ScalingConfig"]["MaximumConcurrency"]


def test_ingest_is_handed_a_message_once_more_than_it_tries() -> None:
    queue = expanded("AWS::SQS::Queue")["IngestQueue"]
    told = environment(expanded("AWS::Lambda::Function")["IngestFunction"])["LIFESTREAM_MAX_RECEIVE_COUNT"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == int(told) + 1


def test_the_dead_letter_queue_keeps_messages_longer_than_the_queue() -> None:
    queues = expanded("AWS::SQS::Queue")
    assert queues["IngestQueue"]["RedrivePolicy"]["deadLetterTargetArn"] == {
        "Fn::GetAtt": ["IngestDeadLetterQueue", "Arn"]
    }
    kept_s = {name: queue["MessageRetentionPeriod"] for name, queue in queues.items()}
    assert kept_s["IngestDeadLetterQueue"] > kept_s["IngestQueue"]
    assert {queue["SqsManagedSseEnabled"] for queue in queues.values()} == {True}


def test_one_bad_recording_fails_alone() -> None:
    [mapping] = expanded("AWS::Lambda::EventSourceMapping").values()
    assert mapping["FunctionName"] == {"Ref": "IngestFunction"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "IngestMaxConcurrency"}}


def test_the_table_is_on_demand_encrypted_recoverable_and_kept() -> None:
    resource = source()["Resources"]["RecordingsTable"]
    table = resource["Properties"]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]] == [
        ("library", "HASH"),
        ("recording_id", "RANGE"),
    ]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


# ------------------------------------------------------------------------------------------- outputs, lint, samconfig


def test_the_outputs_show_how_to_read_the_key_and_not_the_key() -> None:
    outputs = expansion()["Outputs"]
    assert {"ApiUrl", "PageUrl", "ApiKeyId", "BucketName", "QueueUrl", "TableName"} <= set(outputs)
    assert "aws apigateway get-api-key --include-value" in outputs["ApiKeyId"]["Description"]
    assert outputs["ApiKeyId"]["Value"] == {"Ref": "ApiKey"}


def test_the_linter_finds_nothing_in_what_sam_makes_of_the_template(tmp_path: Path) -> None:
    """`sam validate --lint` lints the source, and misses what only the expansion shows."""
    path = tmp_path / "expanded.json"
    path.write_text(json.dumps(expansion()), encoding="utf-8")
    command = [sys.executable, "-c", "from cfnlint.runner import main; main()", "--template", str(path)]
    linted = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, ""), linted.stderr


def samconfig() -> dict[str, Any]:
    return tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def test_prod_repeats_what_it_needs_because_it_inherits_nothing() -> None:
    local = {"local_start_api", "local_start_lambda"}
    default, prod = samconfig()["default"], samconfig()["prod"]
    assert set(prod) == set(default) - local
    for command, section in prod.items():
        assert set(section["parameters"]) >= set(default[command]["parameters"])


@pytest.mark.parametrize("name", ["default", "prod"])
def test_an_environment_sets_only_parameters_that_exist(name: str) -> None:
    overrides = samconfig()[name]["deploy"]["parameters"].get("parameter_overrides", [])
    assert {text.split("=")[0] for text in overrides} <= set(source()["Parameters"])
