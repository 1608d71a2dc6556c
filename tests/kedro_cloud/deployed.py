"""Compile infra/ for each environment, and find insecure settings, secrets and unused names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bicep import Resource, Template, parameters
from support import ROOT

INFRA = ROOT / "infra"
FILES = sorted([INFRA / "main.bicep", *INFRA.glob("modules/*.bicep")])
ENVIRONMENTS = {
    "dev": ("dev", {}),
    "prod": ("prod", {}),
    "private": ("prod", {"privateNetwork": True}),
    "all": ("prod", {"omittedClusters": [], "streamWindows": True, "videoTrigger": True}),
}
"""Parameter file and overrides by environment."""


@functools.cache
def template(environment: str) -> Template:
    """Return the compiled main file with an environment's parameters."""
    name, changes = ENVIRONMENTS[environment]
    main = Template(INFRA / "main.bicep", {**parameters(INFRA / f"{name}.bicepparam"), **changes})
    main.require()
    return main


@functools.cache
def resources(environment: str) -> tuple[Resource, ...]:
    """Return all resources of an environment."""
    return tuple(template(environment).resources())


def of_type(found: Iterable[Resource], kind: str) -> list[Resource]:
    """Return the resources of a type, given by its last parts."""
    return [each for each in found if f"/{each.type}".endswith(f"/{kind}")]


# Required values by path in the body of each resource of a type.
CLOSED: dict[str, dict[str, Any]] = {
    "Microsoft.Storage/storageAccounts": {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "allowCrossTenantReplication": False,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"publicAccess": "None"},
    "Microsoft.KeyVault/vaults": {"enableRbacAuthorization": True, "enablePurgeProtection": True},
    "Microsoft.ContainerRegistry/registries": {
        "adminUserEnabled": False,
        "anonymousPullEnabled": False,
    },
    "Microsoft.MachineLearningServices/workspaces": {
        "systemDatastoresAuthMode": "Identity",
        "allowRoleAssignmentOnRG": False,
    },
    "Microsoft.MachineLearningServices/workspaces/computes": {
        "disableLocalAuth": True,
        "properties.remoteLoginPortPublicAccess": "Disabled",
    },
    "Microsoft.Sql/servers": {
        "administrators.azureADOnlyAuthentication": True,
        "administrators.principalType": "Group",
        "minimalTlsVersion": "1.2",
    },
    "Microsoft.EventHub/namespaces": {"disableLocalAuth": True, "minimumTlsVersion": "1.2"},
}


def insecure_settings(found: Iterable[Resource]) -> list[str]:
    """Return the settings that allow access without an identity, and their values."""
    findings = []
    for resource in found:
        for path, expected in CLOSED.get(resource.type, {}).items():
            value: Any = resource.body["properties"]
            for part in path.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value != expected:
                findings.append(f"{resource.name}: {path} is {value}")
    return findings


_SECRETS = {
    "a function that reads keys": r"\blist(?:Account)?(?:Keys|Secrets?|Sas|CallbackUrl)\s*\(",
    "a connection string": r"(?i)(?:AccountKey|SharedAccessKey\w*|InstrumentationKey)\s*=",
    "a password": r"(?i)\b\w*(?:password|passwd|pwd)\s*[:=]\s*'[^']",
    "a login of the database": r"(?i)\badministratorLogin\w*\b",
    "a signed address": r"(?i)[?&]sig=",
    "a key": r"(?<![\w/+])(?=[A-Za-z+/]*\d)[A-Za-z0-9+/]{40,}={0,2}(?![\w/+=])",
    "a key in use": r"(?i)\ballowSharedKeyAccess\s*:\s*true|\bdisableLocalAuth\s*:\s*false",
    "a secret parameter": r"@secure\(",
}


def secrets(text: str) -> list[str]:
    """Return the kinds of secrets that a text contains or asks for."""
    return [kind for kind, pattern in _SECRETS.items() if re.search(pattern, text)]


def unused(templates: Iterable[Template]) -> list[str]:
    """Return the parameters and variables that no environment uses, as FILE: NAME."""
    declared: set[tuple[Path, str]] = set()
    used: set[tuple[Path, str]] = set()
    for each in templates:
        names = [*each.declared["parameter"], *each.declared["variable"]]
        declared |= {(each.path, name) for name in names}
        used |= {(each.path, name) for name in each.used}
    return [f"{path.name}: {name}" for path, name in sorted(declared - used)]


def containers_in(conf: Any) -> Iterator[str]:
    """Yield the containers that a configuration names as abfs://CONTAINER/…"""
    if isinstance(conf, dict):
        for value in conf.values():
            yield from containers_in(value)
    elif isinstance(conf, str) and (found := re.match(r"abfs://([^/]+)", conf)):
        yield found[1]
