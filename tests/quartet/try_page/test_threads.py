"""Two visitors of the page at once each get their own upload."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from support import make_workspace

pytest.importorskip("streamlit")


def test_projects_opened_at_once_do_not_exchange_their_parameters(tmp_path, monkeypatch):
    from quartet.try_page.project import open_project

    monkeypatch.chdir(make_workspace(tmp_path / "project"))
    monkeypatch.setattr("sys.argv", ["page.py"])

    def find_table(number):
        return open_project(sensor_table=f"table{number}.csv").entries["sensor_readings_source"]

    with ThreadPoolExecutor(4) as pool:
        found = [entry["table"] for entry in pool.map(find_table, range(4))]
    assert found == [f"table{number}.csv" for number in range(4)]
