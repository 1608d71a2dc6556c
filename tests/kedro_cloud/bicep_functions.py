"""Bicep's functions that infra/ calls, with placeholders for values that only Azure has."""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Callable
from typing import Any


class BicepError(Exception):
    """A file that would not compile."""


def identity_of(kind: str, *names: str) -> str:
    """Return the id of a resource in the resource group."""
    parts = "/".join(names).split("/")
    provider, *types = kind.split("/")
    if len(parts) != len(types):
        raise BicepError(f"{kind} cannot have the name {'/'.join(names)}")
    inner = "/".join(f"{each}/{part}" for each, part in zip(types, parts, strict=True))
    return f"/subscriptions/S/resourceGroups/G/providers/{provider}/{inner}"


def _union(one: Any, *others: Any) -> Any:
    for other in others:
        if isinstance(one, list):
            one = one + [each for each in other if each not in one]
        else:
            both = {
                k: _union(one[k], other[k])
                for k in one.keys() & other.keys()
                if isinstance(one[k], dict)
            }
            one = {**one, **other, **both}
    return one


def _subnet(addresses: str, bits: int, index: int) -> str:
    return str(list(ipaddress.ip_network(addresses).subnets(new_prefix=bits))[index])


SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
ENVIRONMENT = {
    "resourceManager": "https://management.azure.com/",
    "suffixes": {"storage": "core.windows.net", "sqlServerHostname": ".database.windows.net"},
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "any": lambda value: value,
    "cidrSubnet": _subnet,
    "contains": lambda whole, part: part in whole,
    "description": lambda text: text,
    "empty": lambda value: not value,
    "environment": lambda: ENVIRONMENT,
    "filter": lambda values, keep: [each for each in values if keep(each)],
    "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, " ".join(parts))),
    "items": lambda whole: [{"key": name, "value": whole[name]} for name in sorted(whole)],
    "json": json.loads,
    "map": lambda values, make: [make(each) for each in values],
    "readEnvironmentVariable": lambda name: f"<{name}>",
    "replace": lambda text, old, new: text.replace(old, new),
    "resourceGroup": lambda: {"id": "/subscriptions/S/resourceGroups/G", "name": "G"},
    "resourceId": identity_of,
    "subscription": lambda: {"tenantId": TENANT, "subscriptionId": SUBSCRIPTION},
    "subscriptionResourceId": lambda kind, name: f"/subscriptions/S/{kind}/{name}",
    "substring": lambda text, start: text[start:],
    "string": json.dumps,
    "take": lambda text, count: text[:count],
    "toObject": lambda values, key, make: {key(each): make(each) for each in values},
    "union": _union,
    "uniqueString": lambda *_: "abcdefghijklm",
}
