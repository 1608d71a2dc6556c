"""Format registered models: lists, one version in detail, two versions side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kedro.framework import project

from kedro_cloud.core.console import align_columns
from kedro_cloud.models.registry import Version

_HEADINGS = ("model", "version", "stage", "registered (UTC)", "reason")
_SHOWN_DIGITS = 12
"""Digits of a hash that are printed."""
_KINDS = {"metric": "metrics", "parameter": "parameters", "library": "libraries"}


def format_table(versions: Sequence[Version]) -> list[str]:
    """Return a table with one row per version."""
    rows = [
        (
            version.model,
            version.number,
            ", ".join(version.stages) or "-",
            f"{version.registered:%Y-%m-%d %H:%M}",
            version.reason or "-",
        )
        for version in versions
    ]
    return align_columns([_HEADINGS, *rows])


def format_version(version: Version, commit: str) -> list[str]:
    """Return lineage, metrics, parameters and libraries of a version; `commit` may be empty."""
    facts = {
        "stage": ", ".join(version.stages) or "-",
        "registered": f"{version.registered:%Y-%m-%d %H:%M} UTC",
        "reason": version.reason or "-",
        **dict(_lineage(version, commit)),
    }
    lines = [f"{version.model} version {version.number}"]
    lines += [f"  {line}" for line in align_columns(list(facts.items()))]
    for kind, heading in _KINDS.items():
        if tags := version.select_tags(kind):
            lines += ["", heading, *(f"  {line}" for line in align_columns(sorted(tags.items())))]
    return lines


def _lineage(version: Version, commit: str) -> Iterator[tuple[str, str]]:
    """Yield run, code and data of a version."""
    unknown = "not recorded"
    run = version.run or unknown
    yield "run", f"{run}, job {job}" if (job := version.tags.get("azureml_job")) else run
    package = project.PACKAGE_NAME
    code = [f"{package} {version.tags.get(f'{package}_version', '?')}"]
    code += [f"commit {commit}"] if commit else []
    if source := version.tags.get("code_sha256"):
        code.append(f"source {source[:_SHOWN_DIGITS]} (SHA-256)")
    yield "code", ", ".join(code)
    data = [f"{part} {digest[:_SHOWN_DIGITS]}" for part, digest in version.data.items()]
    yield "data", f"{', '.join(data)} (SHA-256)" if data else unknown


def format_comparison(one: Version, other: Version) -> list[str]:
    """Compare metrics, then list differing parameters, libraries, data and code."""
    lines = [f"{one.model} version {one.number} and version {other.number}", ""]
    if one.data.get("test") != other.data.get("test"):
        lines += ["They were tested on different data: their metrics are not comparable.", ""]
    metrics = _pair(one.select_tags("metric"), other.select_tags("metric"))
    rows = [(*row, _difference(*row[1:])) for row in metrics]
    lines += align_columns([("metric", one.number, other.number, "difference"), *rows])
    for heading, pairs in (
        ("parameter", _pair(one.select_tags("parameter"), other.select_tags("parameter"))),
        ("library", _pair(one.select_tags("library"), other.select_tags("library"))),
        ("data (SHA-256)", _pair(_shorten(one.data), _shorten(other.data))),
        ("code", _pair(_code(one), _code(other))),
    ):
        if differing := [pair for pair in pairs if pair[1] != pair[2]]:
            headings = (heading, one.number, other.number)
            lines += ["", *align_columns([headings, *differing])]
        else:
            lines += ["", f"{heading}: {'the same in both' if pairs else 'not recorded'}"]
    return lines


def _code(version: Version) -> dict[str, str]:
    """Return commit and hash of a version's code, if recorded."""
    names = ("git_commit", "code_sha256")
    return {name: version.tags[name] for name in names if name in version.tags}


def _shorten(hashes: Mapping[str, str]) -> dict[str, str]:
    return {name: value[:_SHOWN_DIGITS] for name, value in hashes.items()}


def _pair(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return name and both values, sorted by name; `-` for a value that is missing."""
    return [(name, one.get(name, "-"), other.get(name, "-")) for name in sorted({**one, **other})]


def _difference(one: str, other: str) -> str:
    """Return the signed difference of two numbers; `-` if one is not a number."""
    try:
        return f"{float(other) - float(one):+.6g}"
    except ValueError:
        return "-"
