"""The documentation describes every column, and its queries run."""

import re

import pandas as pd
import pytest
from sqlalchemy import text

from quartet.datasets.sensor_store.schema import metadata
from support import ROOT
from window_batches import KEYS, batch, end, fleet, tables, windows

pytest_plugins = ("mariadb",)

PAGE = (ROOT / "docs/reference/sensor_tables.md").read_text()
QUERIES = [query for query in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if "SELECT" in query]


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_each_column_is_documented_and_no_other(table):
    (section,) = re.findall(rf"^`{table.name}`: .*?(?=^`|^## )", PAGE, re.DOTALL | re.MULTILINE)
    documented = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert documented == {column.name for column in table.columns}


def test_documented_text_lengths_are_correct():
    for table in metadata.sorted_tables:
        for column in table.columns:
            length = getattr(column.type, "length", None)
            if length:
                row = rf"^\| [^|]*`{column.name}`[^|]*\| text, {length}[ ,]"
                assert re.search(row, PAGE, re.MULTILINE), column


def test_documented_queries_return_the_documented_results(database_url):
    store = tables(database_url)
    keys = [("press-1", sensor, m) for sensor in ("temperature", "current") for m in (5, 10)]
    table = windows([*keys, *fleet(1, 2, [10])])
    table["window_end"] += pd.Timestamp("2026-03-08 11:50:00") - end(0)
    store.publish(batch(table))
    scored = table[KEYS]
    found = scored[:1].assign(score=-1.0, threshold=0.0, model_version="c0ffee", revision=1)
    store.write_anomalies(scored, found)
    latest, other_sensors = QUERIES
    with store._database.engine.connect() as connection:
        hour = connection.execute(text(latest)).all()
        neighbours = connection.execute(text(other_sensors)).all()
    assert [(*row[:2], str(row[2])) for row in hour] == [
        ("press-1", "temperature", "2026-03-08 11:55:00"),
        ("press-1", "temperature", "2026-03-08 12:00:00"),
    ]
    assert [(*row[:2], str(row[2]), *row[3:5]) for row in neighbours] == [
        ("press-1", "temperature", "2026-03-08 11:55:00", -1.0, "current")
    ]
    store.close()
