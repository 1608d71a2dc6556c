"""A plain Kedro project of three nodes, as `kedro new` makes it, that uses the plugin."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from control_plane.documents import GROUP, SUBSCRIPTION, WORKSPACE
from support import ROOT, clean_environment

PIPELINE = "shuttles"
_CODE = """
from kedro.pipeline import Node, Pipeline


def clean(companies):
    return companies.dropna()


def join(companies, shuttles):
    return shuttles.merge(companies, on="company")


def average(joined):
    return {"mean_price": float(joined["price"].mean())}


def create_pipeline(**kwargs):
    return Pipeline(
        [
            Node(clean, "companies", "clean_companies", name="clean"),
            Node(join, ["clean_companies", "shuttles"], "joined", name="join"),
            Node(average, "joined", "shuttles_metrics", name="average"),
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
companies: {{<<: *table, filepath: "{raw}/companies.csv"}}
shuttles: {{<<: *table, filepath: "{raw}/shuttles.csv"}}
clean_companies: {{<<: *table, filepath: "{work}/companies.csv", save_args: {{index: false}}}}
joined: {{<<: *table, filepath: "{work}/joined.csv", save_args: {{index: false}}}}
shuttles_metrics: {{type: json.JSONDataset, filepath: "{reports}/shuttles/metrics.json"}}
"""
_ROOTS = "storage_account: plain\nraw: {raw}\nwork: {work}\nreports: {reports}\n"
_AZURE = f"""
azure:
  subscription_id: {SUBSCRIPTION}
  resource_group: {GROUP}
  workspace_name: {WORKSPACE}
  experiment_name: plain
  environment_name: plain:1
  code_directory: .
  pipeline_data_passing: {{enabled: true}}
  compute:
    __default__: {{cluster_name: cpu-cluster}}
"""
_MLFLOW = "server: {mlflow_tracking_uri: sqlite:///mlflow.db}\n"
_CLOUD = """
cloud:
  region: westeurope
  clusters:
    cpu-cluster: {size: Standard_D4s_v5, max_nodes: 2}
  datastores: {raw: raw}
  rehearsal:
    samples: {raw: "*.csv"}
    reports: reports
"""
_LOCAL = {"raw": "data/01_raw", "work": "data/02_intermediate", "reports": "data/08_reporting"}
_BLOBS = {name: f"abfs://{name}/plain" for name in _LOCAL}


def make_plain_project(folder: Path) -> Path:
    """Run `kedro new` in a folder, and add three nodes, a catalog and an environment `azureml`."""
    command = [sys.executable, "-m", "kedro", "new", "--name=plain", "--tools=none", "--example=n"]
    subprocess.run(
        command,
        cwd=folder,
        env={**clean_environment(), "HOME": str(folder), "DO_NOT_TRACK": "1"},
        check=True,
        capture_output=True,
    )
    project = folder / "plain"
    package = project / f"src/plain/pipelines/{PIPELINE}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_CODE)
    (project / "data/01_raw").mkdir(parents=True)
    for name, text in _TABLES.items():
        (project / f"data/01_raw/{name}.csv").write_text(text)
    for environment, roots in (("base", _LOCAL), ("azureml", _BLOBS)):
        conf = project / "conf" / environment
        conf.mkdir(exist_ok=True)
        (conf / "catalog.yml").write_text(_CATALOG.format(**roots))
        (conf / "globals.yml").write_text(_ROOTS.format(**roots))
    # The plugin of Azure ML reads its file in every run, those on this machine included.
    (project / "conf/base/azureml.yml").write_text(_AZURE)
    (project / "conf/base/mlflow.yml").write_text(_MLFLOW)
    (project / ".telemetry").write_text("consent: false\n")
    (conf / "cloud.yml").write_text(_CLOUD)
    for name in ("planning.yml", "prices.yml"):
        shutil.copy(ROOT / "conf/azureml" / name, conf)
    return project
