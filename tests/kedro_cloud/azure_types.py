"""Check resources against the types that Azure Resource Manager publishes for Bicep.

The types are those of github.com/Azure/bicep-types-az, a JSON file per provider and API version: a
list of types that refer to one another by `#/INDEX`. Values that only Azure can
provide, and that the test's expansion of Bicep therefore omits, match any type.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bicep import Resource, Unknown

_REQUIRED, _READ_ONLY = 1, 2
_OF_BICEP = {"parent", "scope", "dependsOn"}
"""Properties of a declaration that are not sent to Azure."""
NAME_RULES = {
    "Microsoft.Authorization/roleAssignments": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.Authorization/roleDefinitions": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "Microsoft.ContainerRegistry/registries": r"[A-Za-z0-9]{5,50}",
    "Microsoft.EventGrid/systemTopics": r"[A-Za-z0-9-]{3,50}",
    "Microsoft.EventGrid/systemTopics/eventSubscriptions": r"[A-Za-z0-9-]{3,64}",
    "Microsoft.EventHub/namespaces": r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]",
    "Microsoft.Insights/components": r"[^%&\\?/]{0,259}[^%&\\?/. ]",
    "Microsoft.KeyVault/vaults": r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.Logic/workflows": r"[A-Za-z0-9._()-]{1,43}",
    "Microsoft.MachineLearningServices/workspaces": r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}",
    "Microsoft.MachineLearningServices/workspaces/computes": r"[A-Za-z][A-Za-z0-9-]{1,22}[a-z0-9]",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}",
    "Microsoft.Network/networkSecurityGroups": r"[A-Za-z0-9]([\w.-]{0,78}\w)?",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{0,62}\w",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Sql/servers": r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "Microsoft.Sql/servers/databases": r"[^<>*%&:\\/?]{0,127}[^<>*%&:\\/?. ]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Storage/storageAccounts/blobServices/containers": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "Microsoft.Storage/storageAccounts/queueServices/queues": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "Microsoft.StreamAnalytics/streamingjobs": r"[\w-]{3,63}",
}
"""Patterns of names, from Microsoft's "Naming rules and restrictions for Azure resources"."""


class AzureTypes:
    """Published types of a folder of JSON files, `PROVIDER@VERSION.GROUP.json`."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; its files are read when a resource needs them."""
        self._folder = folder

    def faults(self, resource: Resource) -> list[str]:
        """Return what Azure would not accept in a resource, as `NAME: PATH: FAULT`."""
        kind = f"{resource.type}@{resource.version}"
        body = {name: value for name, value in resource.body.items() if name not in _OF_BICEP}
        found = self._body_type(kind)
        if found is None:
            return [f"{resource.name}: {kind} is not a published type"]
        faults = list(_check(body, *found, ""))
        rule = NAME_RULES.get(resource.type)
        if rule and not re.fullmatch(rule, str(body["name"])):
            faults.append(f"name: '{body['name']}' does not match {rule}")
        return [f"{resource.name}: {fault}" for fault in faults]

    def versions(self, kind: str) -> list[str]:
        """Return the versions of a resource type in the folder, in ascending order."""
        files = self._folder.glob(f"{kind.partition('/')[0].lower()}@*.json")
        names = {name for path in files for name in _load(path)[1]}
        return sorted(name.partition("@")[2] for name in names if name.startswith(f"{kind}@"))

    def _body_type(self, kind: str) -> tuple[dict[str, Any], list[Any]] | None:
        provider, version = kind.partition("/")[0].lower(), kind.partition("@")[2]
        for path in self._folder.glob(f"{provider}@{version}.*.json"):
            types, by_name = _load(path)
            if kind in by_name:
                return _resolve(by_name[kind]["body"], types), types
        return None


@functools.cache
def _load(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """Return the types of a file, and those of resources by name and version."""
    types = json.loads(path.read_text())
    return types, {each["name"]: each for each in types if each["$type"] == "ResourceType"}


def _resolve(reference: dict[str, str], types: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = types[int(reference["$ref"].removeprefix("#/"))]
    return found


def _check(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    """Yield the faults of a value, each with its path in the resource."""
    if isinstance(value, Unknown) or kind["$type"] == "AnyType":
        return
    yield from _CHECKS[kind["$type"]](value, kind, types, path)


def _check_object(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: expected an object, found {value!r}"
        return
    properties = {**kind.get("baseProperties", {}), **kind.get("properties", {})}
    for name, each in properties.items():
        if each["flags"] & _REQUIRED and value.get(name) is None:
            yield f"{_join(path, name)}: required, but missing"
    for name, item in value.items():
        if item is None:  # null in Bicep: not sent
            continue
        if name not in properties:
            if "additionalProperties" not in kind:
                yield f"{_join(path, name)}: unknown property"
                continue
            inner = _resolve(kind["additionalProperties"], types)
        elif properties[name]["flags"] & _READ_ONLY:
            yield f"{_join(path, name)}: read-only"
            continue
        else:
            inner = _resolve(properties[name]["type"], types)
        yield from _check(item, inner, types, _join(path, name))


def _check_variant(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    """Check an object whose properties depend on one of them."""
    name = kind["discriminator"]
    chosen = value.get(name) if isinstance(value, dict) else None
    if chosen not in kind["elements"]:
        expected = ", ".join(kind["elements"])
        yield f"{_join(path, name)}: expected one of {expected}, found {chosen!r}"
        return
    variant = _resolve(kind["elements"][chosen], types)
    properties = {**kind["baseProperties"], **variant["properties"]}
    yield from _check_object(value, {**variant, "properties": properties}, types, path)


def _check_array(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: expected an array, found {value!r}"
        return
    yield from _check_length(value, kind, path)
    inner = _resolve(kind["itemType"], types)
    for index, item in enumerate(value):
        yield from _check(item, inner, types, _join(path, index))


def _check_union(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    """Check a set of values. A plain text beside literals means that Azure may add values."""
    options = [_resolve(each, types) for each in kind["elements"]]
    literals = [each["value"] for each in options if each["$type"] == "StringLiteralType"]
    others = [each for each in options if each["$type"] not in ("StringLiteralType", "StringType")]
    if value in literals or any(not list(_check(value, each, types, "")) for each in others):
        return
    yield f"{path}: expected one of {', '.join(literals)}, found {value!r}"


def _check_string(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: expected a text, found {value!r}"
    elif "<" not in value:  # a placeholder of a value that only Azure can provide
        yield from _check_length(value, kind, path)
        if "pattern" in kind and not re.search(kind["pattern"], value):
            yield f"{path}: '{value}' does not match {kind['pattern']}"


def _check_literal(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if value != kind["value"]:
        yield f"{path}: expected '{kind['value']}', found {value!r}"


def _check_integer(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{path}: expected a number, found {value!r}"
    elif not kind.get("minValue", value) <= value <= kind.get("maxValue", value):
        yield f"{path}: {value} is not in {kind.get('minValue')} to {kind.get('maxValue')}"


def _check_boolean(value: Any, kind: dict[str, Any], types: list[Any], path: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{path}: expected true or false, found {value!r}"


def _join(path: str, name: str | int) -> str:
    return f"{path}.{name}" if path else str(name)


def _check_length(value: Any, kind: dict[str, Any], path: str) -> Iterator[str]:
    shortest, longest = kind.get("minLength", 0), kind.get("maxLength", len(value))
    if not shortest <= len(value) <= longest:
        yield f"{path}: length {len(value)}, expected {shortest} to {longest}"


_CHECKS = {
    "ArrayType": _check_array,
    "BooleanType": _check_boolean,
    "DiscriminatedObjectType": _check_variant,
    "IntegerType": _check_integer,
    "ObjectType": _check_object,
    "StringLiteralType": _check_literal,
    "StringType": _check_string,
    "UnionType": _check_union,
}
