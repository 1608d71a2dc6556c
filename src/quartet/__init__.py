"""Four machine-learning workloads as one Kedro project.

Each scenario has a package for its methods (`digits`, `faq`, `sensors`, `style`). `pipelines`
connects them to the data catalog, `datasets` adds formats and stores that kedro-datasets lacks, and
`settings`, `framework` and `cli` configure Kedro. See `docs/explanation/architecture.md`.
"""

__version__ = "0.1.0"
