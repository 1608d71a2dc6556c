"""`docker compose up` starts the servers that the project uses, for this machine only."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import Any

import click
import pytest
import yaml

from locks import locked
from support import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_server_listens_on_this_machine_only(name: str) -> None:
    ports = SERVICES[name]["ports"]
    assert ports
    assert [port for port in ports if not re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_version_or_is_built_from_this_folder(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    else:
        assert re.fullmatch(r".+:v?\d+(\.\d+)+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_data_are_in_declared_volumes_or_in_this_folder(name: str) -> None:
    sources = {volume.partition(":")[0] for volume in SERVICES[name].get("volumes", [])}
    assert sources <= {*COMPOSE["volumes"], "."}


def test_servers_have_the_versions_of_the_project() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    azurite = re.search(r"^AZURITE := azurite@(.+)$", makefile, re.MULTILINE)
    assert azurite
    assert SERVICES["azurite"]["image"].endswith(f":{azurite[1]}")
    mlflow = locked("requirements-core.lock")["mlflow"]
    assert SERVICES["mlflow"]["image"].endswith(f":v{mlflow}")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("mlflow", "mlflow.cli:server"),
        ("viz", "kedro_viz.launchers.cli.run:run"),
    ],
)
def test_commands_have_the_options_that_are_given(name: str, command: str) -> None:
    module, _, function = command.partition(":")
    known: click.Command = getattr(import_module(module), function)
    options = {option for parameter in known.params for option in parameter.opts}
    words = shlex.split(SERVICES[name]["command"])
    assert words[1 if name == "mlflow" else 2] == known.name
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.skipif("mariadb" not in SERVICES, reason="a project without MariaDB")
def test_the_database_has_the_user_that_quartet_reads_from_the_environment() -> None:
    credentials = (ROOT / "conf/base/credentials.yml").read_text(encoding="utf-8")
    environment = SERVICES["mariadb"]["environment"]
    for key in ("MARIADB_USER", "MARIADB_PASSWORD"):
        variable = re.match(r"\$\{(\w+):-", environment[key])
        assert variable
        assert f"${{oc.env:{variable[1]}," in credentials
