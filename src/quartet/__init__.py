"""Four machine-learning workloads as one Kedro project.

The science of each scenario is a package of its own (`digits`); `pipelines`
connects it to the data catalog, `datasets` holds the file formats and stores
that kedro-datasets lacks, and `settings`, `hooks` and `cli` fit Kedro to the
project. See `docs/explanation/architecture.md`.
"""

__version__ = "0.1.0"
