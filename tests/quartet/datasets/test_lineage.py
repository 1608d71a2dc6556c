"""Tags of a registered model identify its run and its code."""

import subprocess

import pytest

from quartet.datasets import lineage


@pytest.fixture
def repository(tmp_path):
    """A repository with one commit, and its hash."""
    (tmp_path / "model.py").write_text("depth = 1\n")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        (*who, "commit", "--quiet", "-m", "Begin"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    return tmp_path, result.stdout.strip()


def test_git_commit_marks_uncommitted_changes(repository):
    folder, commit = repository
    assert lineage.get_git_commit(folder) == commit
    (folder / "notes.txt").write_text("not part of it\n")
    assert lineage.get_git_commit(folder) == commit
    (folder / "model.py").write_text("depth = 2\n")
    assert lineage.get_git_commit(folder) == f"{commit}+changed"


def test_git_commit_is_empty_without_repository_or_git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lineage.get_git_commit(tmp_path) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lineage.get_git_commit(tmp_path) == ""


def test_code_digest_depends_on_names_and_contents_only(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name / "part").mkdir(parents=True)
        (tmp_path / name / "part/model.py").write_text("depth = 1\n")
        (tmp_path / name / "model.log").write_text(name)
    digests = {lineage.compute_code_digest(tmp_path / name) for name in ("one", "other")}
    assert len(digests) == 1
    (tmp_path / "third/part").mkdir(parents=True)
    (tmp_path / "third/part/model.py").write_text("depth = 2\n")
    (tmp_path / "renamed").mkdir()
    (tmp_path / "renamed/model.py").write_text("depth = 1\n")
    digests |= {lineage.compute_code_digest(tmp_path / name) for name in ("third", "renamed")}
    assert len(digests) == 3


def test_lineage_tags_name_the_job(monkeypatch):
    monkeypatch.delenv("AZUREML_ROOT_RUN_ID", raising=False)
    assert "azureml_job" not in lineage.get_lineage_tags("run-1")
    monkeypatch.setenv("AZUREML_ROOT_RUN_ID", "job-1")
    tags = lineage.get_lineage_tags("run-1")
    assert tags["azureml_job"] == "job-1"
    assert tags["run_id"] == "run-1"
    assert len(tags["code_sha256"]) == 64
