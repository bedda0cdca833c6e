"""CloudFormation's YAML tags and intrinsic functions, as far as template.yaml uses them.

Apart from template.py because it knows the language only, and none of the resources written in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml


class TemplateError(Exception):
    """The template says something that cannot be run here; the text names it."""


class UnknownReferenceError(TemplateError):
    """A reference to a resource that has no values (yet)."""


@dataclass(frozen=True, slots=True)
class ResourceValues:
    """What `Ref` and `Fn::GetAtt` answer for one resource."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


Resources = Mapping[str, ResourceValues]

_NO_VALUE = object()
_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]+)\}")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads `!Sub x` as {"Fn::Sub": x}."""


def _short_form(loader: Any, tag: str, node: Any) -> Any:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _short_form)


def load_document(path: Path) -> dict[str, Any]:
    """The template with its short forms written out; TemplateError where it is not YAML or no mapping."""
    try:
        document = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise TemplateError(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError(f"{path} is not a CloudFormation template.")
    return cast(dict[str, Any], document)


class Intrinsics:
    """Resolves values of one document, with its parameters' defaults unless `parameters` say otherwise."""

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        self._conditions: Mapping[str, Any] = document.get("Conditions", {})
        self._mappings: Mapping[str, Any] = document.get("Mappings", {})
        self._declared: Mapping[str, Any] = document.get("Parameters", {})
        self._given = parameters
        self._pseudo = pseudo
        for name in parameters:
            if name not in self._declared:
                raise TemplateError(f"The template has no parameter {name}.")

    def resolve(self, value: Any, resources: Resources) -> Any:
        """`value` with every intrinsic function in it replaced; TemplateError names one that is not known here."""
        if isinstance(value, list):
            items = (self.resolve(item, resources) for item in value)
            return [item for item in items if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument, resources)
            if isinstance(name, str) and name.startswith("Fn::"):
                return self._call(name, argument, resources)
        pairs = ((key, self.resolve(item, resources)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not _NO_VALUE}

    def holds(self, condition: str) -> bool:
        if condition not in self._conditions:
            raise TemplateError(f"The template has no condition {condition}.")
        return self._truth(self._conditions[condition])

    def _ref(self, name: str, resources: Resources) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._declared:
            return self._parameter(name)
        if name in resources:
            return resources[name].ref
        raise UnknownReferenceError(f"Ref {name}: there is no such parameter, and no such resource runs locally.")

    def _parameter(self, name: str) -> Any:
        declared = self._declared[name]
        value = self._given.get(name, declared.get("Default"))
        if value is None:
            raise TemplateError(f"The parameter {name} has no default and was given no value.")
        if "List" in declared.get("Type", "String"):
            return [item.strip() for item in str(value).split(",")]
        return str(value)

    def _get_att(self, name: str, attribute: str, resources: Resources) -> str:
        if name not in resources or attribute not in resources[name].attributes:
            raise UnknownReferenceError(f"Fn::GetAtt {name}.{attribute} has no value locally.")
        return resources[name].attributes[attribute]

    def _call(self, name: str, argument: Any, resources: Resources) -> Any:
        match name, argument:
            case "Fn::GetAtt", [str(resource), str(attribute)]:
                return self._get_att(resource, attribute, resources)
            case "Fn::Sub", str(text):
                return self._substitute(text, {}, resources)
            case "Fn::Sub", [str(text), dict(variables)]:
                return self._substitute(text, self.resolve(variables, resources), resources)
            case "Fn::Join", [str(separator), items]:
                return separator.join(str(item) for item in self.resolve(items, resources))
            case "Fn::If", [str(condition), yes, no]:
                return self.resolve(yes if self.holds(condition) else no, resources)
            case "Fn::FindInMap", [table, first, second]:
                keys = [self.resolve(key, resources) for key in (table, first, second)]
                return self.resolve(self._mappings[keys[0]][keys[1]][keys[2]], resources)
            case "Fn::Select", [index, items]:
                return self.resolve(items, resources)[int(index)]
            case "Fn::Split", [str(separator), text]:
                return str(self.resolve(text, resources)).split(separator)
            case (("Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or"), _):
                return self._truth({name: argument})
        raise TemplateError(f"{name} with {argument!r} is not supported by the local runner.")

    def _substitute(self, text: str, variables: Mapping[str, Any], resources: Resources) -> str:
        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in variables:
                return str(variables[name])
            if "." in name:
                resource, _, attribute = name.partition(".")
                return self._get_att(resource, attribute, resources)
            return str(self._ref(name, resources))

        return _SUBSTITUTION.sub(value, text)

    def _truth(self, expression: Any) -> bool:
        if not isinstance(expression, dict) or len(expression) != 1:
            raise TemplateError(f"{expression!r} is not a condition.")
        ((name, argument),) = expression.items()
        match name:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                left, right = (self.resolve(side, {}) for side in argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._truth(argument[0])
            case "Fn::And":
                return all(self._truth(item) for item in argument)
            case "Fn::Or":
                return any(self._truth(item) for item in argument)
        raise TemplateError(f"The condition function {name} is not supported by the local runner.")
