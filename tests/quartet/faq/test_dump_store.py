"""A full disk must be named with the folder that is full."""

import pytest

from quartet.faq import dump_store


@pytest.mark.parametrize(("rows", "pages"), [(1, 6), (1_000, 12)])
def test_full_disk_is_reported_with_its_folder(monkeypatch, rows: int, pages: int) -> None:
    limit = f"PRAGMA max_page_count = {pages};" + dump_store._CREATE_TABLES
    monkeypatch.setattr(dump_store, "_CREATE_TABLES", limit)
    monkeypatch.setenv("SQLITE_TMPDIR", "/scratch")
    store = dump_store.PostStore()
    message = r"^/scratch: the temporary file with the posts .*disk is full\); free disk space"
    with pytest.raises(ValueError, match=message):
        for number in range(rows):
            store.add_original(number, None, "x" * 1_000, "")
            store.add_duplicate(-number, number, "x", "")
        store.choose_answers(keep_unanswered=True)
