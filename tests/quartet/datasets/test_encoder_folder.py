"""An encoder is used if it is there, required if it is named, and never guessed."""

import pytest
from kedro.io import DatasetError

from quartet.datasets.encoder_folder import EncoderFolderDataset

CONFIG = "1_Pooling/config.json"


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "encoder"
    (path / "onnx").mkdir(parents=True)
    (path / "1_Pooling").mkdir()
    (path / "onnx" / "model_int8.onnx").write_bytes(b"network")
    (path / "tokenizer.json").write_bytes(b"tokens")
    (path / CONFIG).write_bytes(b"{}")
    return path


def make(encoder, folder="missing"):
    return EncoderFolderDataset(
        encoder=str(encoder), folder=str(folder), configs=[CONFIG, "modules.json"]
    )


def test_the_network_and_what_there_is_of_the_configuration_are_loaded(folder):
    loaded = make(folder).load()
    assert loaded.path == str(folder)
    expected = {"model.onnx": b"network", "tokenizer.json": b"tokens", CONFIG: b"{}"}
    assert loaded.files == expected


def test_the_fetched_encoder_is_used_once_it_is_there(folder, tmp_path):
    assert make("auto", folder).load().path == str(folder)
    absent = make("auto", tmp_path / "absent")
    absent.check_at_start()
    assert absent.load() is None


def test_lexical_means_none_even_if_one_was_fetched(folder):
    assert make("lexical", folder).load() is None


def test_a_named_folder_that_is_missing_is_an_error_before_the_run(tmp_path):
    with pytest.raises(DatasetError, match=r"no such folder; .*kedro fetch encoder"):
        make(tmp_path / "absent").check_at_start()


def test_several_networks_are_not_chosen_from(folder):
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(DatasetError, match=r"2 \.onnx files \(model\.onnx, model_int8\.onnx\)"):
        make(folder).check_at_start()


def test_a_folder_without_tokenizer_is_an_error_before_the_run(folder):
    (folder / "tokenizer.json").unlink()
    for use in (make(folder).load, make(folder).check_at_start):
        with pytest.raises(DatasetError, match=r"tokenizer\.json is missing"):
            use()


def test_what_only_has_the_name_of_a_network_is_not_one(folder):
    (folder / "onnx" / "._model_int8.onnx").write_bytes(b"a file of macOS")
    (folder / "extracted.onnx").mkdir()
    assert make(folder).load().files["model.onnx"] == b"network"


def test_links_are_followed_as_in_the_cache_of_hugging_face(folder, tmp_path):
    for file in (folder / "onnx/model_int8.onnx", folder / "tokenizer.json"):
        blob = file.replace(tmp_path / file.stem)
        file.symlink_to(blob)
    assert make(folder).load().files["model.onnx"] == b"network"
