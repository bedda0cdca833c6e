"""The OpenAPI document: what is committed is what the contract says, with the routes that there are and no others."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from local import openapi
from tests.conftest import REPOSITORY, Stack

Routes = set[tuple[str, str]]

FUNCTIONS = sorted(path.parent.name for path in (REPOSITORY / "functions").glob("*/app.py"))


def document() -> dict[str, Any]:
    written: dict[str, Any] = json.loads((REPOSITORY / "functions" / "site" / "openapi.json").read_text("utf-8"))
    return written


def routes_in(paths: dict[str, Any]) -> Routes:
    methods = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    return {(method.upper(), path) for path, operations in paths.items() for method in operations if method in methods}


def routes_of_the_functions(stack: Stack) -> Routes:
    """What Powertools has been told, in OpenAPI's way of writing a path."""
    found: Routes = set()
    for name in FUNCTIONS:
        app = getattr(stack.function(name), "app", None)
        for route in app._static_routes + app._dynamic_routes if app else []:
            methods = route.method if isinstance(route.method, list | tuple) else [route.method]
            found |= {(method, re.sub(r"<(\w+)>", r"{\1}", route.path)) for method in methods}
    return found


@pytest.mark.parametrize("name", ["openapi.json", "docs.html"])
def test_what_is_committed_is_what_would_be_written(name: str) -> None:
    written = {path.name: (path, text) for path, text in openapi.written().items()}
    path, text = written[name]
    assert path == REPOSITORY / "functions" / "site" / name
    # Not compared in the assertion, which would print both.
    is_as_written = path.read_text(encoding="utf-8") == text
    assert is_as_written, "run `python -m local.openapi`"


def test_the_document_has_the_functions_routes_and_no_others(stack: Stack) -> None:
    found = routes_of_the_functions(stack)
    assert len(found) >= 9
    assert routes_in(document()["paths"]) == found


def test_the_document_has_the_templates_routes_and_no_others() -> None:
    assert routes_in(document()["paths"]) == routes_in(template_definition()["paths"])


def test_a_key_is_needed_for_the_same_routes_as_in_the_template() -> None:
    def needing_key(definition: dict[str, Any]) -> Routes:
        return {
            (method, path)
            for method, path in routes_in(definition["paths"])
            if definition["paths"][path][method.lower()].get("security")
        }

    assert needing_key(document()) == needing_key(template_definition())
    assert {path for _, path in needing_key(document())} == {
        path for _, path in routes_in(document()["paths"]) if path.startswith("/api/")
    }


def template_definition() -> dict[str, Any]:
    yaml_helper = pytest.importorskip("samtranslator.yaml_helper", reason="aws-sam-translator is not installed")
    template = yaml_helper.yaml_parse((REPOSITORY / "template.yaml").read_text(encoding="utf-8"))
    definition: dict[str, Any] = template["Resources"]["LifeStreamApi"]["Properties"]["DefinitionBody"]
    return definition


def test_the_document_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    validator.validate(document())


def test_every_path_parameter_is_declared() -> None:
    for path, operations in document()["paths"].items():
        for operation in operations.values():
            declared = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_every_error_is_a_problem_document() -> None:
    for operations in document()["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "application/json" not in response["content"]:
                    (content,) = response["content"].items()
                    assert content == (
                        "application/problem+json",
                        {"schema": {"$ref": "#/components/schemas/Problem"}},
                    )


def test_every_reference_leads_somewhere() -> None:
    text = (REPOSITORY / "functions" / "site" / "openapi.json").read_text("utf-8")
    schemas = document()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert references
    assert references <= set(schemas)


def test_answers_have_the_fields_of_their_schema(stack: Stack) -> None:
    """What a client may rely on is there, and nothing that it was not told of."""
    schemas = document()["components"]["schemas"]
    recording_id = stack.add("notes.txt", "Dana: We launch the recorder on the third of June.")
    question = stack.ask("When do we launch the recorder?")
    answers = {
        "QueryResponse": question,
        "AnswerResponse": question["answer"],
        "CitationResponse": question["answer"]["citations"][0],
        "PassageResponse": question["results"][0],
        "RecordingResponse": stack.recording(recording_id),
        "UploadResponse": stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": "a.vtt"})["json"],
        "HealthResponse": stack.call("health", "GET", "/health", query={"deep": "true"})["json"],
        "Problem": stack.call("query", "POST", "/api/v1/query", {})["json"],
    }
    for name, body in answers.items():
        assert set(body) <= set(schemas[name]["properties"]), name
        assert set(schemas[name].get("required", ())) <= set(body), name
