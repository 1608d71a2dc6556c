"""Score a table of readings and see windows, scores and alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from quartet.try_page.project import (
    compute_once,
    escape,
    load_model,
    open_project,
    report_errors,
    store_upload,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import altair as alt
    import pandas as pd
    import pyarrow as pa
    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from quartet.datasets.registered_model import Champion
    from quartet.sensors.table import TablePart

_COLUMNS = {"time": "TS", "device": "Device", "sensor": "Sensor", "value": "Value"}
"""Default names of the columns."""
_ALARM_COLOR = "#e03131"
_AXIS_PIXELS = 45
"""Minimum width of the vertical axes, so that the times of both charts are aligned."""
_KEYS = ["device", "sensor", "window_end"]
_MAX_READINGS = 10_000_000
"""Maximum rows of a table: all are in memory, and a compressed file of 100 MB may have billions."""


class _Scored(NamedTuple):
    """Scored windows of a table.

    Attributes:
        windows: Windows with their scores.
        unmatched: Sensors without a model: `device`, `sensor`, `windows`.
        readings: Number of valid readings.
        rejected: Number of invalid readings by reason.
    """

    windows: pd.DataFrame
    unmatched: pd.DataFrame
    readings: int
    rejected: dict[str, int]


def show() -> None:
    """Show the page of sensors."""
    st.set_page_config(layout="wide")
    st.title("Score readings of sensors")
    st.caption("Drop a table of readings, and see their windows, scores and alarms.")
    with report_errors():
        champion = load_model("sensor_models")
        upload = st.file_uploader("Readings", help="CSV with any separator, gzip, or Parquet")
        columns = _ask_columns()
        if upload is None:
            st.session_state.pop("scored", None)
            _describe_models(champion)
        else:
            key = (upload.file_id, tuple(columns.items()), champion.version)
            scored = compute_once("scored", key, lambda: _score(upload, columns, champion))
            _show_scores(scored)
        st.caption(f"Model `sensor_models`, version {champion.version}.")


def _ask_columns() -> dict[str, str]:
    """Return the names of the columns that are not the default."""
    with st.expander("Columns have other names"):
        boxes = st.columns(len(_COLUMNS))
        names = {
            kind: box.text_input(kind.capitalize(), default).strip()
            for (kind, default), box in zip(_COLUMNS.items(), boxes, strict=True)
        }
    return {kind: name for kind, name in names.items() if name not in ("", _COLUMNS[kind])}


def _describe_models(champion: Champion) -> None:
    models = champion.raw_model
    names = ", ".join(escape(f"{device}/{sensor}") for device, sensor in models.pairs[:6])
    more = f" and {len(models) - 6:,} more" if len(models) > 6 else ""
    st.info(
        f"A table needs one reading in a row: time, device, sensor, value. There are models of "
        f"{names}{more}, for windows of {models.window_seconds} s."
    )


def _score(upload: UploadedFile, columns: dict[str, str], champion: Champion) -> _Scored:
    """Read, aggregate and score a table, as ingestion and scoring do.

    Raises:
        ValueError: The table has too many rows, no valid readings, or none that can be scored.
    """
    import time
    from collections import Counter

    from quartet.sensors import readings
    from quartet.sensors.settings import SensorIngestion
    from quartet.sensors.table import decode_table

    with store_upload(upload) as path:
        names = {"sensor_columns": columns} if columns else {}
        project = open_project(sensor_table=str(path), **names)
        settings = SensorIngestion.model_validate(project.params["sensor_ingestion"])
        source, now = project.catalog.load("sensor_readings_source"), time.time_ns() // 1000
        parts = _limit_rows(upload.name, source.parts())
        batches = [decode_table(part, now, settings) for part in parts]
    rejected: Counter[str] = Counter()
    for batch in batches:
        rejected.update(batch.rejected)
    table = readings.concatenate([batch.readings for batch in batches])
    if not table.num_rows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejected.items())
        raise ValueError(
            f"{upload.name}: contains no valid readings ({reasons or 'no rows'}); correct the file"
        )
    scored, unmatched = _score_readings(upload.name, table, champion)
    return _Scored(scored, unmatched, table.num_rows, dict(rejected))


def _limit_rows(name: str, parts: Iterable[TablePart]) -> Iterator[TablePart]:
    """Yield the parts of a table.

    Raises:
        ValueError: It has too many rows.
    """
    rows = 0
    for part in parts:
        rows += len(part.rows)
        if rows > _MAX_READINGS:
            raise ValueError(
                f"{name}: has more than {_MAX_READINGS:,} rows; run `kedro run --pipelines "
                "sensor_ingestion,anomaly_scoring --params sensor_table=FILE`"
            )
        yield part


def _score_readings(
    name: str, table: pa.Table, champion: Champion
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scored windows of readings, and the sensors without a model.

    Raises:
        ValueError: No window can be scored.
    """
    from quartet.sensors import scoring, windows

    models = champion.raw_model
    found = models.normalise(windows.aggregate(table, models.window_seconds))
    unmatched = scoring.find_unmatched(models, found)
    unmatched = unmatched[unmatched["reason"] == "no model"].drop(columns="reason")
    scores = champion.predict(found).drop(columns="model_version")
    if scores.empty:
        raise ValueError(_explain_empty(name, found, models))
    return scores.merge(found, on=_KEYS, validate="1:1"), unmatched


def _explain_empty(name: str, found: pd.DataFrame, models: Any) -> str:
    if found.empty:
        return (
            f"{name}: no window can be scored, as each is compared with the "
            f"{models.context.hours:g} hours before it; add earlier readings"
        )
    first = found.iloc[0]
    return (
        f"{name}: no sensor has a model, such as {first['device']}/{first['sensor']}; train with "
        "`kedro run --pipelines sensor_ingestion,anomaly_training --params "
        "dataset_name=NAME,sensor_table=FILE`, and start `kedro try --params dataset_name=NAME`"
    )


def _show_scores(scored: _Scored) -> None:
    windows = scored.windows
    alarms = int(windows["anomaly"].sum())
    totals = {
        "Readings": f"{scored.readings:,}",
        "Windows": f"{len(windows):,}",
        "Alarms": f"{alarms:,}",
        "Alarm rate": f"{alarms / len(windows):.1%}",
    }
    for column, (name, value) in zip(st.columns(len(totals)), totals.items(), strict=True):
        column.metric(name, value)
    if scored.rejected:
        reasons = ", ".join(f"{count:,} × {reason}" for reason, count in scored.rejected.items())
        st.warning(f"Readings left out: {reasons}.")
    if len(scored.unmatched):
        st.warning(f"{len(scored.unmatched):,} sensors have no model and are not scored.")
    summary = _summarise(windows)
    chosen = st.selectbox(
        "Sensor",
        range(len(summary)),
        format_func=lambda row: f"{summary['device'][row]}/{summary['sensor'][row]}",
        help="Most alarms first",
    )
    device, sensor = (summary[name][chosen] for name in ("device", "sensor"))
    selected = windows[(windows["device"] == device) & (windows["sensor"] == sensor)]
    st.altair_chart(_draw_values(selected))
    st.altair_chart(_draw_scores(selected))
    st.caption(
        "Line and area: mean and range of each window. Red: alarms, whose score is below the "
        "threshold (dashed)."
    )
    st.dataframe(
        summary,
        hide_index=True,
        column_config={
            "alarm_rate": st.column_config.NumberColumn("alarm rate", format="percent"),
            "lowest_score": st.column_config.NumberColumn("lowest score", format="%.4f"),
        },
    )
    st.download_button(
        "Download all windows",
        windows.to_csv(index=False),
        "scored_windows.csv",
        "text/csv",
        on_click="ignore",
    )


def _summarise(windows: pd.DataFrame) -> pd.DataFrame:
    """Return counts of each sensor, most alarms first."""
    groups = windows.groupby(["device", "sensor"], observed=True, sort=True)
    table = groups.agg(
        windows=("score", "size"),
        alarms=("anomaly", "sum"),
        alarm_rate=("anomaly", "mean"),
        lowest_score=("score", "min"),
    ).reset_index()
    return table.sort_values("alarms", ascending=False, kind="stable", ignore_index=True)


def _make_base(windows: pd.DataFrame, height: int) -> alt.Chart:
    """Return an empty chart of a height in pixels, whose horizontal axis is the time in UTC."""
    import altair as alt

    return alt.Chart(
        # The browser would show times without a zone in its own.
        windows.assign(window_end=windows["window_end"].dt.tz_localize("UTC")),
        height=height,
    ).encode(
        x=alt.X(
            "window_end:T",
            title="time (UTC)",
            scale=alt.Scale(type="utc"),
            axis=alt.Axis(format="%d %b %H:%M"),
        )
    )


def _draw_values(windows: pd.DataFrame) -> alt.LayerChart:
    """Draw the values of a sensor's windows: mean, range, and alarms."""
    import altair as alt

    base = _make_base(windows, 240)
    time = alt.Tooltip("window_end:T", title="time (UTC)", timeUnit="utcyearmonthdatehoursminutes")
    axis = alt.Axis(minExtent=_AXIS_PIXELS)
    band = base.mark_area(opacity=0.25).encode(
        y=alt.Y("minimum:Q", title="value", axis=axis, scale=alt.Scale(zero=False)), y2="maximum:Q"
    )
    line = base.mark_line(strokeWidth=1.5).encode(y="mean:Q")
    alarms = (
        base.transform_filter(alt.datum.anomaly)
        .mark_circle(color=_ALARM_COLOR, size=45, opacity=1)
        .encode(y="mean:Q", tooltip=[time, "mean:Q", "score:Q", "threshold:Q"])
    )
    return band + line + alarms


def _draw_scores(windows: pd.DataFrame) -> alt.LayerChart:
    """Draw the scores of a sensor's windows, and the threshold below which they are alarms."""
    import altair as alt

    base = _make_base(windows, 140)
    axis = alt.Axis(minExtent=_AXIS_PIXELS)
    score = base.mark_line(strokeWidth=1).encode(y=alt.Y("score:Q", title="score", axis=axis))
    threshold = base.mark_line(color=_ALARM_COLOR, strokeDash=[4, 3]).encode(y="threshold:Q")
    return score + threshold
