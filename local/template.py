"""What template.yaml declares: functions, routes, queue sources, gateway responses, resources' properties.

The only file that knows SAM's resource types; everything else here runs what this one read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.intrinsics import Intrinsics, Resources, ResourceValues, TemplateError, load_document

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
STACK_NAME = "lifestream-local"
FAKE_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local-not-a-key",
    "AWS_SECRET_ACCESS_KEY": "local-not-a-secret",
    "AWS_SESSION_TOKEN": "local-not-a-token",
}

_PSEUDO_PARAMETERS = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::StackName": STACK_NAME,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{STACK_NAME}/local",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function as declared. `variables` are its own environment, without what Lambda adds."""

    name: str
    handler: str
    code_folder: Path
    layer_folders: tuple[Path, ...]
    timeout_s: float
    memory_mb: int
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` in API Gateway's form (`/a/{id}`, `/files/{proxy+}`), `method` in capitals or ANY."""

    method: str
    path: str
    function: str
    api_key_required: bool


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """An answer that API Gateway itself gives; `status` None keeps the type's own."""

    status: int | None
    headers: Mapping[str, str]
    body: str | None


@dataclass(frozen=True, slots=True)
class Api:
    stage: str
    routes: tuple[Route, ...]
    gateway_responses: Mapping[str, GatewayResponse]


@dataclass(frozen=True, slots=True)
class QueueSource:
    """An SQS event source mapping."""

    function: str
    queue_arn: str
    batch_size: int
    reports_item_failures: bool


class Template:
    """One template; what depends on created resources is asked for with their values."""

    def __init__(self, path: Path, parameters: Mapping[str, str] | None = None) -> None:
        self._root = path.resolve().parent
        self._document = load_document(path)
        self._intrinsics = Intrinsics(self._document, parameters or {}, _PSEUDO_PARAMETERS)

        self._functions = {
            name: ResourceValues(name, {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"})
            for name, _ in self.resources("AWS::Serverless::Function")
        }

    def resolve(self, value: Any, resources: Resources) -> Any:
        return self._intrinsics.resolve(value, {**self._functions, **resources})

    def resources(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Logical id and unresolved properties of each resource of this type that its condition lets exist."""
        for name, resource in self._document.get("Resources", {}).items():
            condition = resource.get("Condition")
            if resource.get("Type") == kind and (condition is None or self._intrinsics.holds(condition)):
                yield name, resource.get("Properties", {})

    def functions(self, resources: Resources) -> tuple[Function, ...]:
        return tuple(self._function(name, resources) for name, _ in self.resources("AWS::Serverless::Function"))

    def variables(self) -> frozenset[str]:
        """Names of the environment variables that any function declares."""
        shared = self._document.get("Globals", {}).get("Function", {})
        parts = [shared, *(properties for _, properties in self.resources("AWS::Serverless::Function"))]
        return frozenset(name for part in parts for name in part.get("Environment", {}).get("Variables", {}))

    def _function(self, name: str, resources: Resources) -> Function:
        shared = self._document.get("Globals", {}).get("Function", {})
        own = dict(self.resources("AWS::Serverless::Function"))[name]

        def value(key: str, default: Any) -> Any:
            return self.resolve(own.get(key, shared.get(key, default)), resources)

        declared = [part.get("Environment", {}).get("Variables", {}) for part in (shared, own)]
        variables = {key: self.resolve(text, resources) for part in declared for key, text in part.items()}
        layers = [*shared.get("Layers", []), *own.get("Layers", [])]
        return Function(
            name=name,
            handler=value("Handler", ""),
            code_folder=self._root / value("CodeUri", "."),
            layer_folders=tuple(self._layer_folder(layer) for layer in layers),
            timeout_s=float(value("Timeout", 3)),
            memory_mb=int(value("MemorySize", 128)),
            variables={key: _text(text) for key, text in variables.items()},
        )

    def _layer_folder(self, layer: Any) -> Path:
        declared = dict(self.resources("AWS::Serverless::LayerVersion"))
        name = layer.get("Ref") if isinstance(layer, dict) else None
        if name not in declared:
            raise TemplateError(f"The layer {layer!r} is not declared in the template, so it cannot run locally.")
        return self._root / str(self.resolve(declared[name]["ContentUri"], {}))

    def api(self) -> Api:
        """Its routes are the functions' events; what else there is to say of each stands in its API definition."""
        apis = dict(self.resources("AWS::Serverless::Api"))
        if len(apis) != 1:
            raise TemplateError(f"The local runner serves one AWS::Serverless::Api, and the template has {len(apis)}.")
        ((name, properties),) = apis.items()
        definition = properties.get("DefinitionBody", {})
        stage = self.resolve(properties.get("StageName", "local"), {})
        routes = tuple(self._routes(name, properties, definition))
        return Api(stage, routes, self._gateway_responses(properties, definition))

    def _routes(self, api: str, properties: Mapping[str, Any], definition: Mapping[str, Any]) -> Iterator[Route]:
        schemes = {
            **definition.get("components", {}).get("securitySchemes", {}),
            **definition.get("securityDefinitions", {}),
        }
        key_schemes = {name for name, scheme in schemes.items() if scheme.get("type") == "apiKey"}
        key_by_default = properties.get("Auth", {}).get("ApiKeyRequired", False)
        for function, event in self._events("Api"):
            if event.get("RestApiId", {"Ref": api}) != {"Ref": api}:
                raise TemplateError(f"{function} has a route of an API other than {api}.")
            path, method = event["Path"], event["Method"].lower()
            operation = definition.get("paths", {}).get(path, {}).get(method, {})
            security = operation.get("security", [])  # API Gateway reads none at the document's root
            key_required = event.get("Auth", {}).get("ApiKeyRequired", key_by_default)
            key_required = key_required or any(key_schemes & set(alternative) for alternative in security)
            yield Route(method.upper(), path, function, bool(key_required))

    def _gateway_responses(
        self, properties: Mapping[str, Any], definition: Mapping[str, Any]
    ) -> dict[str, GatewayResponse]:
        found: dict[str, GatewayResponse] = {}
        for kind, response in definition.get("x-amazon-apigateway-gateway-responses", {}).items():
            prefix = "gatewayresponse.header."
            headers = {key.removeprefix(prefix): value for key, value in response.get("responseParameters", {}).items()}
            found[kind] = self._gateway_response(
                response.get("statusCode"), headers, response.get("responseTemplates", {})
            )
        for kind, response in properties.get("GatewayResponses", {}).items():
            headers = response.get("ResponseParameters", {}).get("Headers", {})
            found[kind] = self._gateway_response(
                response.get("StatusCode"), headers, response.get("ResponseTemplates", {})
            )
        return found

    def _gateway_response(self, status: Any, headers: Mapping[str, Any], bodies: Mapping[str, Any]) -> GatewayResponse:
        media_type, body = next(iter(bodies.items()), (None, None))
        texts = {key: str(self.resolve(value, {})).strip("'") for key, value in headers.items()}
        if media_type and not any(key.lower() == "content-type" for key in texts):
            texts["Content-Type"] = media_type
        return GatewayResponse(int(status) if status else None, texts, self.resolve(body, {}))

    def queue_sources(self, resources: Resources) -> tuple[QueueSource, ...]:
        """Written as an SQS event of a function or as a resource of its own."""
        events = [{"FunctionName": name, **event} for name, event in self._events("SQS")]
        mappings = [properties for _, properties in self.resources("AWS::Lambda::EventSourceMapping")]
        sources = [self.resolve(source, resources) for source in (*events, *mappings)]
        return tuple(
            QueueSource(
                function=source["FunctionName"].split(":")[-1],
                queue_arn=source.get("EventSourceArn") or source["Queue"],
                batch_size=int(source.get("BatchSize", 10)),
                reports_item_failures="ReportBatchItemFailures" in source.get("FunctionResponseTypes", []),
            )
            for source in sources
            if str(source.get("Enabled", True)).lower() == "true"
        )

    def _events(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for function, properties in self.resources("AWS::Serverless::Function"):
            for event in properties.get("Events", {}).values():
                if event.get("Type") == kind:
                    yield function, event.get("Properties", {})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
