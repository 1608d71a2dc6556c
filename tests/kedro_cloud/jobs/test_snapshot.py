"""The rehearsed code must be the uploaded code: no file more, no file less."""

import os
from pathlib import Path

import pytest
from azure.ai.ml._utils._asset_utils import get_ignore_file, get_upload_files_from_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_cloud.jobs import snapshot
from kedro_cloud.jobs.snapshot import Snapshot, take_snapshot, uploaded_files
from support import ROOT

FOLDERS = st.lists(st.sampled_from(["a", "b", "src", ".venv"]), max_size=3)
FILES = st.sampled_from(["keep.txt", "x.pyc", "code.py"])
PATHS = st.tuples(FOLDERS, FILES).map(lambda path: "/".join([*path[0], path[1]]))
PATTERNS = st.tuples(
    st.sampled_from(["", "/", "!", "**/"]),
    st.one_of(PATHS, FOLDERS.filter(bool).map("/".join)),
    st.sampled_from(["", "/", "/*", "/**"]),
).map("".join)
LINES = st.one_of(PATTERNS, st.sampled_from(["*.pyc", "!*.py", "*", "# a", "", "[ab]/", "!b/"]))


def list_with_sdk(project: Path) -> set[tuple[str, str]]:
    return set(get_upload_files_from_folder(project, ignore_file=get_ignore_file(project)))


def list_files(project: Path) -> set[tuple[str, str]]:
    return {(path.as_posix(), name) for path, name in uploaded_files(project)}


@settings(max_examples=150)
@given(paths=st.sets(PATHS, min_size=1), lines=st.lists(LINES, max_size=6))
def test_the_files_are_those_of_the_sdk_for_any_amlignore(paths, lines, tmp_path_factory):
    project = tmp_path_factory.mktemp("project").resolve()
    for path in paths:
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (project / ".amlignore").write_text("\n".join(lines))
    assert list_files(project) == list_with_sdk(project)


def test_links_and_gitignore_are_handled_as_in_the_sdk(tmp_path):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/shared.py").write_text("shared")
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "src/one.py").symlink_to(tmp_path / "elsewhere/shared.py")
    (project / "src/two.log").write_text("")
    (project / ".gitignore").write_text("*.log\n")
    assert list_files(project) == list_with_sdk(project)
    taken = take_snapshot(project, tmp_path / "taken")
    assert (tmp_path / "taken/src/one.py").read_text() == "shared"
    assert not (tmp_path / "taken/src/one.py").is_symlink()
    assert taken.files == 3


def test_excluded_folders_are_not_listed(tmp_path, monkeypatch):
    (tmp_path / ".venv/lib").mkdir(parents=True)
    (tmp_path / "conf/local").mkdir(parents=True)
    (tmp_path / "conf/local/.gitkeep").touch()
    (tmp_path / ".amlignore").write_text(".venv/\nconf/local/**\n!conf/local/.gitkeep\n")
    seen = []
    walk = os.walk

    def record(*arguments, **named):
        for root, folders, files in walk(*arguments, **named):
            seen.append(Path(root).name)
            yield root, folders, files

    monkeypatch.setattr(snapshot.os, "walk", record)
    names = {name for _, name in uploaded_files(tmp_path)}
    assert names == {".amlignore", "conf/local/.gitkeep"}
    assert "local" in seen
    assert ".venv" not in seen


def test_the_snapshot_of_this_project_has_no_private_or_generated_files():
    names = {name for _, name in uploaded_files(ROOT)}
    tops = {name.partition("/")[0] for name in names}
    assert {"conf", "src", "pyproject.toml", "requirements.lock"} <= tops
    private = {".git", ".venv", ".env", "data", "rehearsals", "mlflow.db", "mlartifacts"}
    assert not tops & private
    assert not {top for top in tops if top.endswith("_cache")}
    assert not [
        name for name in names if name.startswith("conf/local/") and name[-8:] != ".gitkeep"
    ]
    assert not [name for name in names if "__pycache__" in name]


def test_the_fingerprint_depends_on_the_code_only(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.py").write_text("print(1)")
    os.utime(tmp_path / "two/code.py", (1, 1))
    assert (
        Snapshot.from_folder(tmp_path / "one").fingerprint
        == Snapshot.from_folder(tmp_path / "two").fingerprint
    )
    (tmp_path / "two/code.py").write_text("print(2)")
    assert (
        Snapshot.from_folder(tmp_path / "one").fingerprint
        != Snapshot.from_folder(tmp_path / "two").fingerprint
    )


def test_a_snapshot_over_the_limit_is_rejected_with_its_largest_files(tmp_path):
    (tmp_path / "src").mkdir()
    for name, size in {"video.mp4": 200, "model.bin": 110, "a.py": 0, "b.py": 1}.items():
        with (tmp_path / "src" / name).open("wb") as file:
            file.truncate(size * 10**6)
    with pytest.raises(ValueError, match="311 MB") as raised:
        take_snapshot(tmp_path, tmp_path / "taken")
    message = str(raised.value)
    assert "src/video.mp4 (200 MB), src/model.bin (110 MB), src/b.py (1 MB)" in message
    assert "add files that no step needs to .amlignore" in message
    assert "a.py" not in message
    assert not (tmp_path / "taken").exists()


def test_a_new_snapshot_replaces_the_earlier_one(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "old.py").touch()
    take_snapshot(project, tmp_path / "taken")
    (project / "old.py").rename(project / "new.py")
    take_snapshot(project, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["new.py"]
