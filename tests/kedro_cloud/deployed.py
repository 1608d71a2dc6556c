"""What infra/ deploys in each environment, and what may be wrong with it."""

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
    "all": ("prod", {"leftOut": [], "streamWindows": True, "videoTrigger": True}),
}
"""By name: a file of parameters, and what is changed in it."""


@functools.cache
def template(environment: str) -> Template:
    """The main file with an environment's parameters."""
    name, changes = ENVIRONMENTS[environment]
    main = Template(INFRA / "main.bicep", {**parameters(INFRA / f"{name}.bicepparam"), **changes})
    main.require()
    return main


@functools.cache
def resources(environment: str) -> tuple[Resource, ...]:
    """All that an environment deploys."""
    return tuple(template(environment).resources())


def of_type(found: Iterable[Resource], kind: str) -> list[Resource]:
    """Those of one type, by its last parts."""
    return [each for each in found if f"/{each.type}".endswith(f"/{kind}")]


# What must hold, in the bodies of all resources of a type.
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
        "systemDatastoresAuthMode": "identity",
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


def open_doors(found: Iterable[Resource]) -> list[str]:
    """Each setting that lets in somebody without an identity."""
    doors = []
    for resource in found:
        for path, wanted in CLOSED.get(resource.type, {}).items():
            value: Any = resource.body["properties"]
            for part in path.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value != wanted:
                doors.append(f"{resource.name}: {path} is {value}")
    return doors


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
    """What in a text is a secret, or asks for one."""
    return [what for what, pattern in _SECRETS.items() if re.search(pattern, text)]


def unused(templates: Iterable[Template]) -> list[str]:
    """Parameters, variables, and resources referred to, that no environment uses; as FILE: NAME."""
    declared: set[tuple[Path, str]] = set()
    used: set[tuple[Path, str]] = set()
    for each in templates:
        names = [*each.declared["parameter"], *each.declared["variable"]]
        declared |= {(each.path, name) for name in names}
        used |= {(each.path, name) for name in each.used}
    return [f"{path.name}: {name}" for path, name in sorted(declared - used)]


def containers_in(conf: Any) -> Iterator[str]:
    """Containers that a configuration names as abfs://CONTAINER/…"""
    if isinstance(conf, dict):
        for value in conf.values():
            yield from containers_in(value)
    elif isinstance(conf, str) and (found := re.match(r"abfs://([^/]+)", conf)):
        yield found[1]
