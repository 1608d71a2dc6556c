"""A plain Kedro project of `kedro new` that uses the plugin.

Its pipeline has four nodes in three steps: the first has two nodes, the second is distributed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from control_plane import ControlPlane
from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE
from support import ROOT, run_kedro

PACKAGE = "fleet"
PIPELINE = "shuttles"
STEPS = ("prepare", "search", "average")
METRICS = {"mean_price": 30.0, "trials": 3}
"""Metrics of the pipeline with the parameters and tables of the project."""
IMAGE = "plain:1"
ENDPOINT = "plain-shuttles"
MODEL = "price_model"
_CODE = """
from kedro.pipeline import Node, Pipeline

from kedro_cloud.core.run_command import run_command


def clean(companies, title):
    if title == "missing":
        raise ValueError(f"no title; run `{run_command('titles')}` first")
    return companies.dropna().assign(title=title)


def join(companies, shuttles):
    return shuttles.merge(companies, on="company")


def search(joined, search):
    return {"trials": search["trials"], "rows": len(joined)}


def average(joined, best):
    return {"mean_price": float(joined["price"].mean()), "trials": best["trials"]}


def create_pipeline(**kwargs):
    step = ["step.prepare", "memory"]
    return Pipeline(
        [
            Node(clean, ["companies", "params:title"], "clean_companies", name="clean", tags=step),
            Node(join, ["clean_companies", "shuttles"], "joined", name="join", tags=step),
            Node(search, ["joined", "params:search"], "best", name="search", tags=["distributed"]),
            Node(average, ["joined", "best"], "shuttles_metrics", name="average"),
        ]
    )
"""
_TABLES = {
    "companies": "company,country\na,Norway\nb,\nc,Chile\n",
    "shuttles": "company,price\na,10\na,20\nb,90\nc,60\n",
}
_CATALOG = """
_table: &table
  type: pandas.CSVDataset
  save_args: {{index: false}}
companies: {{<<: *table, filepath: "${{runtime_params:companies,{raw}/companies.csv}}"}}
shuttles: {{<<: *table, filepath: "{raw}/shuttles.csv"}}
clean_companies: {{<<: *table, filepath: "{work}/companies.csv"}}
best: {{type: json.JSONDataset, filepath: "{work}/best.json"}}
shuttles_metrics: {{type: json.JSONDataset, filepath: "{reports}/shuttles/metrics.json"}}
"""
_WITHIN_A_RUN = "joined: {<<: *table, filepath: data/02_intermediate/joined.csv}\n"
_BETWEEN_STEPS = """
joined:
  type: kedro_azureml.datasets.AzureMLPipelineDataset
  root_dir: data/steps
  dataset: {type: pandas.CSVDataset, filepath: joined.csv, save_args: {index: false}}
"""
_ROOTS = "storage_account: {account}\nraw: {raw}\nwork: {work}\nreports: {reports}\n"
_PARAMETERS = "title: all companies\nsearch: {trials: 3}\n"
_RANKS = "step_nodes: {search: 2}\nstep_processes: {search: 1}\n"
_NOWHERE = """
azure:
  subscription_id: not-set
  resource_group: not-set
  workspace_name: not-set
  experiment_name: not-set
"""
_AZURE = f"""
azure:
  subscription_id: {SUBSCRIPTION}
  resource_group: {GROUP}
  workspace_name: {WORKSPACE}
  experiment_name: {PACKAGE}
  environment_name: {IMAGE}
  code_directory: .
  pipeline_data_passing: {{enabled: true}}
  compute:
    __default__: {{cluster_name: cpu-cluster}}
steps: {{merged: true}}
"""
_MLFLOW = "server: {mlflow_tracking_uri: sqlite:///mlflow.db}\n"
_CLOUD = f"""
cloud:
  region: westeurope
  identity: jobs
  clusters:
    cpu-cluster: {{size: Standard_D4s_v5, max_nodes: 4}}
    gpu-cluster: {{size: Standard_NC4as_T4_v3, max_nodes: 2, tier: low_priority}}
  datastores: {{plain_raw: raw, plain_work: work}}
  data_assets:
    shuttles: {{datastore: plain_raw, path: plain}}
  endpoints:
    {ENDPOINT}:
      pipeline: {PIPELINE}
      inputs:
        title: {{parameter: title, type: string, pattern: ".+"}}
        trials: {{parameter: search.trials, type: integer, default: 3}}
  deployments:
    {MODEL}: {{endpoint: price-model, size: Standard_DS2_v2}}
  rehearsal:
    samples: {{raw: "*.csv"}}
    reports: reports
  primary_metrics: {{{PIPELINE}: mean_price}}
  telemetry: workspace
"""
_LOCAL = {"raw": "data/01_raw", "work": "data/02_intermediate", "reports": "data/08_reporting"}
_BLOBS = {name: f"abfs://{name}/plain" for name in _LOCAL}
_IGNORED = ".git/\ndata/\nrehearsals/\nmlflow.db\n__pycache__/\n"
_DOCKERFILE = "FROM python:3.11\nCOPY requirements.lock /\nRUN pip install -r requirements.lock\n"


def make_plain_project(folder: Path) -> Path:
    """Run `kedro new`, and add four nodes, a catalog and an environment `azureml`."""
    made = run_kedro(
        folder,
        *("new", f"--name={PACKAGE}", "--tools=none", "--example=n"),
        environment={"HOME": str(folder), "DO_NOT_TRACK": "1"},
    )
    assert made.returncode == 0, made.stderr
    project = folder / PACKAGE
    write_files(
        project,
        {
            f"src/{PACKAGE}/pipelines/{PIPELINE}/__init__.py": _CODE,
            **{f"data/01_raw/{name}.csv": text for name, text in _TABLES.items()},
            "conf/base/catalog.yml": _CATALOG.format(**_LOCAL) + _WITHIN_A_RUN,
            "conf/base/globals.yml": _ROOTS.format(account="", **_LOCAL),
            "conf/base/parameters.yml": _PARAMETERS,
            # kedro-azureml reads its file in every run, also in local ones.
            "conf/base/azureml.yml": _NOWHERE,
            "conf/base/mlflow.yml": _MLFLOW,
            "conf/azureml/catalog.yml": _CATALOG.format(**_BLOBS) + _BETWEEN_STEPS,
            "conf/azureml/globals.yml": _ROOTS.format(account="plain", **_BLOBS),
            "conf/azureml/parameters.yml": _RANKS,
            "conf/azureml/azureml.yml": _AZURE,
            "conf/azureml/mlflow.yml": "server: {mlflow_tracking_uri: null}\n",
            "conf/azureml/cloud.yml": _CLOUD,
            ".amlignore": _IGNORED,
            ".telemetry": "consent: false\n",
            "Dockerfile": _DOCKERFILE,
            "Dockerfile.gpu": f"{_DOCKERFILE}ENV GPU=1\n",
            "Dockerfile.serving": f"{_DOCKERFILE}USER 1000\n",
            "requirements.lock": "torch==2.13.0\n",
        },
    )
    for name in ("planning.yml", "prices.yml"):
        shutil.copy(ROOT / "conf/azureml" / name, project / "conf/azureml")
    return project


def write_files(project: Path, texts: dict[str, str]) -> None:
    """Write texts by path below a project."""
    for name, text in texts.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)


def edit(path: Path, **changes: Any) -> None:
    """Change settings of a configuration file, below its first key; None removes one."""
    content = yaml.safe_load(path.read_text())
    top = next(iter(content))
    kept = {**content[top], **changes}
    content[top] = {name: value for name, value in kept.items() if value is not None}
    path.write_text(yaml.safe_dump(content))


def furnish_plain(plane: ControlPlane) -> None:
    """Add the cluster and the image of the project's jobs to the workspace."""
    plane.manager.add_cluster("cpu-cluster")
    name, version = IMAGE.split(":")
    plane.manager.add(f"environments/{name}/versions/{version}", {"osType": "Linux"})
