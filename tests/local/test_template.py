"""Reading a template: what it says, resolved, and a clear error for what cannot be run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.intrinsics import Intrinsics, ResourceValues, TemplateError, UnknownReferenceError
from local.template import Function, Route, Template

_RESOURCES = {
    "Bucket": ResourceValues("the-bucket", {"Arn": "arn:aws:s3:::the-bucket"}),
    "Queue": ResourceValues("http://queue", {"Arn": "arn:aws:sqs:us-east-1:123456789012:q", "QueueName": "q"}),
}
_DOCUMENT = {
    "Parameters": {
        "Name": {"Type": "String", "Default": "default"},
        "List": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "Bare": {"Type": "String"},
    },
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "Name"}, "default"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
        "Either": {"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]},
    },
}


def resolve(value: Any) -> Any:
    return Intrinsics(_DOCUMENT, {}, {"AWS::Region": "us-east-1"}).resolve(value, _RESOURCES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Name"}, "default"),
        ({"Ref": "List"}, ["a", "b"]),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "Bucket"}, "the-bucket"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::the-bucket"),
        ({"Fn::Sub": "${Bucket.Arn}/${Name}/${!Literal}"}, "arn:aws:s3:::the-bucket/default/${Literal}"),
        ({"Fn::Sub": ["${Own}-${Name}", {"Own": {"Ref": "Bucket"}}]}, "the-bucket-default"),
        ({"Fn::Join": ["-", ["x", {"Ref": "Name"}]]}, "x-default"),
        ({"Fn::If": ["Yes", "then", "else"]}, "then"),
        ({"Fn::If": ["No", "then", "else"]}, "else"),
        ({"Fn::If": ["Both", "then", "else"]}, "else"),
        ({"Fn::If": ["Either", "then", "else"]}, "then"),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
    ],
)
def test_intrinsic_functions_resolve_as_cloudformation_does(value: Any, expected: Any) -> None:
    assert resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"Fn::Cidr": ["10.0.0.0/16", 1]}, "Fn::Cidr"),
        ({"Ref": "Nowhere"}, "Nowhere"),
        ({"Ref": "Bare"}, "Bare"),
        ({"Fn::GetAtt": ["Bucket", "WebsiteURL"]}, "Bucket.WebsiteURL"),
        ({"Fn::Sub": "${Nowhere.Arn}"}, "Nowhere.Arn"),
        ({"Fn::If": ["Unwritten", 1, 2]}, "Unwritten"),
    ],
)
def test_what_cannot_be_resolved_is_named(value: Any, named: str) -> None:
    with pytest.raises(TemplateError, match=named):
        resolve(value)


def test_a_function_has_its_own_and_the_shared_properties(project: Path) -> None:
    echo, reader = Template(project).functions(_RESOURCES)
    root = project.parent
    assert echo == Function(
        name="EchoFunction",
        handler="app.handler",
        code_folder=root / "functions/echo",
        layer_folders=(root / "layers/shared",),
        timeout_s=2,
        memory_mb=256,
        variables={
            "LIFESTREAM_AWS_ENDPOINT_URL": "",
            "GREETING": "hello",
            "AWS_S3_BUCKET_NAME": "the-bucket",
            "QUEUE": "q",
        },
    )
    assert reader.memory_mb == 128


def test_a_parameter_can_be_given(project: Path) -> None:
    _, reader = Template(project, {"Greeting": "good day"}).functions(_RESOURCES)
    assert reader.variables["GREETING"] == "good day"
    with pytest.raises(TemplateError, match="Gretting"):
        Template(project, {"Gretting": "typed wrong"})


def test_routes_say_whether_they_need_a_key(project: Path) -> None:
    assert Template(project).api().routes == (
        Route("GET", "/api/v1/echo", "EchoFunction", api_key_required=True),
        Route("ANY", "/items/{item}", "EchoFunction", api_key_required=False),
    )


def test_an_event_source_mapping_is_a_queue_source(project: Path) -> None:
    (source,) = Template(project).queue_sources(_RESOURCES)
    assert (source.function, source.batch_size, source.reports_item_failures) == ("ReaderFunction", 5, True)
    assert source.queue_arn == _RESOURCES["Queue"].attributes["Arn"]


def test_an_sqs_event_of_a_function_is_a_queue_source(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("""
Resources:
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        On: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 3}}
        Off: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, Enabled: false}}
""")
    (source,) = Template(path).queue_sources(_RESOURCES)
    assert (source.function, source.batch_size, source.reports_item_failures) == ("Reader", 3, False)


@pytest.mark.parametrize("style", ["sam", "openapi"])
def test_gateway_responses_are_read_in_both_spellings(tmp_path: Path, style: str) -> None:
    written = {
        "sam": """GatewayResponses:
        DEFAULT_5XX:
          StatusCode: "502"
          ResponseParameters: {Headers: {X-Why: "'because'"}}
          ResponseTemplates: {application/json: "{}"}""",
        "openapi": """DefinitionBody:
        x-amazon-apigateway-gateway-responses:
          DEFAULT_5XX:
            statusCode: 502
            responseParameters: {gatewayresponse.header.X-Why: "'because'"}
            responseTemplates: {application/json: "{}"}""",
    }
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources:\n  Api:\n    Type: AWS::Serverless::Api\n    Properties:\n      {written[style]}\n")
    response = Template(path).api().gateway_responses["DEFAULT_5XX"]
    assert response.status == 502
    assert response.headers == {"X-Why": "because", "Content-Type": "application/json"}
    assert response.body == "{}"


@pytest.mark.parametrize("text", ["- a list", "a: [unclosed"])
def test_a_file_that_is_no_template_is_an_error_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=r"template\.yaml"):
        Template(path)


def test_a_missing_template_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"nowhere\.yaml"):
        Template(tmp_path / "nowhere.yaml")


def test_a_resource_that_does_not_run_here_is_unknown() -> None:
    with pytest.raises(UnknownReferenceError):
        resolve({"Ref": "AlarmTopic"})


def test_the_product_s_own_template_runs_here() -> None:
    template = Template(Path(__file__).parents[2] / "template.yaml")
    resources = {
        name: ResourceValues(name, {"Arn": f"arn:{name}", "QueueName": name, "QueueUrl": name})
        for kind in ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::DynamoDB::Table")
        for name, _ in template.resources(kind)
    }
    functions = {function.name: function for function in template.functions(resources)}
    api = template.api()
    assert {route.function for route in api.routes} < set(functions)
    assert all((function.code_folder / "app.py").is_file() for function in functions.values())
    assert all(route.api_key_required == route.path.startswith("/api/") for route in api.routes)
    assert {source.function for source in template.queue_sources(resources)} <= set(functions)
    assert {"LIFESTREAM_AWS_ENDPOINT_URL", "LIFESTREAM_INDEX_REFRESH_S"} <= template.variables()
    for kind, response in api.gateway_responses.items():
        assert json.loads(response.body or "")["status"] == response.status, kind
