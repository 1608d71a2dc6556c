"""Published weights load from any format, and code in them never runs."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from kedro.io import DatasetError
from safetensors.torch import save_file

from quartet.datasets.torch_weights import Weights, WeightsDataset
from quartet.style.network import StyleNetwork, build_network
from support import real_data

TENSORS = {
    "conv.weight": torch.linspace(-1, 1, 24).reshape(2, 3, 4),
    "conv.bias": torch.tensor([0.5, -0.5]),
    "count": torch.tensor(7),
}


def load(path, **options):
    return WeightsDataset(filepath=str(path), **options).load()


def assert_tensors(weights):
    assert weights.arrays.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(weights.arrays[name], tensor.numpy())
        assert weights.arrays[name].shape == tuple(tensor.shape)


@pytest.fixture(scope="session")
def reference_weights():
    return sorted(real_data("style/reference_weights").glob("*.model"))


@pytest.mark.parametrize(
    ("suffix", "zipped"), [(".pth", True), (".model", False), (".safetensors", True)]
)
def test_format_is_detected_from_the_content(tmp_path, suffix, zipped):
    path = tmp_path / f"wave{suffix}"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=zipped)
    weights = load(path)
    assert_tensors(weights)
    assert weights.name == "wave"
    assert weights.metadata == {}


@pytest.mark.parametrize("start", [b"\x80\x01", b"PK"])
def test_safetensors_file_that_starts_like_a_pickle_loads(tmp_path, start):
    """Its first bytes are the length of its header, which may have any value."""
    path = tmp_path / "wave.safetensors"
    save_file(TENSORS, path, {"note": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    save_file(TENSORS, path, {"note": "x" * (int.from_bytes(start, "little") - length)})
    assert path.read_bytes().startswith(start)
    assert_tensors(load(path))


@pytest.mark.parametrize(
    "checkpoint",
    [
        {"state_dict": TENSORS, "epoch": 3, "arguments": {"lr": 0.1}},
        {"model_state_dict": OrderedDict(TENSORS), "loss": 0.5},
        {"model": {f"module.{name}": tensor for name, tensor in TENSORS.items()}},
        OrderedDict((f"module.{name}", tensor) for name, tensor in TENSORS.items()),
    ],
)
def test_weights_are_extracted_from_checkpoints(tmp_path, checkpoint):
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    assert_tensors(load(tmp_path / "checkpoint.pth"))


def test_bfloat16_is_converted_to_float32(tmp_path):
    torch.save({"a": torch.tensor([1.5, 2]).bfloat16(), "b": torch.ones(2).half()}, tmp_path / "a")
    arrays = load(tmp_path / "a").arrays
    assert arrays["a"].dtype == np.float32
    assert arrays["a"].tolist() == [1.5, 2]
    assert arrays["b"].dtype == np.float16


def test_prefix_selects_arrays(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pth")
    assert load(tmp_path / "a.pth", prefix="conv.").arrays.keys() == {"conv.weight", "conv.bias"}
    with pytest.raises(DatasetError, match=r"no weights named features\.…"):
        load(tmp_path / "a.pth", prefix="features.")


def test_published_networks_load(reference_weights):
    assert reference_weights
    for path in reference_weights:
        arrays = load(path).arrays
        network = build_network({name: torch.tensor(array) for name, array in arrays.items()})
        published = torch.load(path, weights_only=True)
        for name, value in network.state_dict().items():
            assert torch.equal(value, published[name])


class _CodeOnLoad:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_never_runs(tmp_path, protocol):
    target, path = tmp_path / "owned", tmp_path / "wave.pth"
    path.write_bytes(pickle.dumps({"conv1": _CodeOnLoad(target)}, protocol))
    with pytest.raises(DatasetError, match=r"wave\.pth: not "):
        load(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())  # it would have been
    assert target.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pytorch_file_never_runs(tmp_path, zipped):
    target, path = tmp_path / "owned", tmp_path / "wave.pth"
    torch.save(
        {**TENSORS, "more": _CodeOnLoad(target)}, path, _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(DatasetError) as caught:
        load(path)
    assert "contains more than arrays (getattr)" in str(caught.value)
    assert "state_dict" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def _contents():
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save(TENSORS, buffer, _use_new_zipfile_serialization=zipped)
        yield "zip" if zipped else "old", buffer.getvalue()


@pytest.mark.parametrize(("form", "content"), list(_contents()), ids=["zip", "old"])
@pytest.mark.parametrize("share", [0.0, 0.6, 0.99])
def test_truncated_file_raises_in_one_line(tmp_path, form, content, share):
    path = tmp_path / f"{form}.pth"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: not ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_truncated_safetensors_file_raises(tmp_path):
    path = tmp_path / "wave.safetensors"
    save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DatasetError, match=rf"{path}: not a complete safetensors or PyTorch file"):
        load(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "found a list"),
        (torch.ones(3), "found a Tensor"),
        ({}, "found nothing"),
        ({"a": torch.ones(1), "epoch": 3}, "'epoch' is a int"),
        ({"state_dict": {"a": {"b": torch.ones(1)}}}, "'a' is a dict"),
    ],
)
def test_content_that_is_not_a_state_dict_raises(tmp_path, content, found):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(DatasetError, match=rf"expected arrays by name, as a state_dict, .*{found}"):
        load(tmp_path / "a.pth")


def test_unsupported_tensor_raises(tmp_path):
    torch.save({"odd": torch.eye(2).to_sparse()}, tmp_path / "a.pth")
    with pytest.raises(DatasetError, match=r"'odd' has an unsupported type"):
        load(tmp_path / "a.pth")


@pytest.mark.parametrize("root", ["{tmp}/styles", "memory://weights/styles"])
def test_unknown_style_raises_with_known_styles(tmp_path, root):
    folder = root.format(tmp=tmp_path)
    for name in ("wave", "starry_night"):
        WeightsDataset(filepath=f"{folder}/{name}.safetensors").save(
            Weights(name, {"a": np.ones(1)})
        )
    with pytest.raises(DatasetError, match=r"unknown style 'wawe'; known: starry_night, wave"):
        load(f"{folder}/wawe.safetensors")


def test_file_is_found_under_alternative_suffixes(tmp_path):
    torch.save(TENSORS, tmp_path / "mosaic.model")
    dataset = WeightsDataset(filepath=str(tmp_path / "mosaic.safetensors"))
    assert dataset.exists()
    assert_tensors(dataset.load())
    assert dataset.load().name == "mosaic"


@pytest.mark.parametrize("options", [{}, {"kind": None}])
def test_missing_file_raises_with_hint(tmp_path, options):
    if "kind" in options:
        torch.save(TENSORS, tmp_path / "another.pth")
    with pytest.raises(DatasetError, match=r"vgg19\.pth: no such file; kedro fetch vgg$"):
        load(tmp_path / "vgg19.pth", hint="kedro fetch vgg", **options)


@pytest.mark.parametrize("root", ["{tmp}/deep/er", "memory://weights/saved"])
def test_round_trip_keeps_arrays_and_metadata(tmp_path, root):
    arrays = {name: tensor.numpy() for name, tensor in TENSORS.items()}
    arrays["conv.weight"] = arrays["conv.weight"].transpose(2, 0, 1)  # not in C order
    metadata = {"licence": "public domain", "title": "神奈川沖浪裏"}
    dataset = WeightsDataset(filepath=f"{root.format(tmp=tmp_path)}/wave.safetensors")
    dataset.save(Weights("", arrays, metadata))
    loaded = dataset.load()
    assert loaded.name == "wave"
    assert loaded.metadata == metadata
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], array)
        assert loaded.arrays[name].shape == array.shape


def test_saved_bytes_are_reproducible(tmp_path):
    state = {name: value.numpy() for name, value in StyleNetwork(4).state_dict().items()}
    metadata = {letter: letter * 3 for letter in "style"}
    contents = set()
    for index in range(4):
        dataset = WeightsDataset(filepath=str(tmp_path / f"{index}.safetensors"))
        dataset.save(
            Weights("", state, dict(reversed(metadata.items()) if index % 2 else metadata))
        )
        contents.add((tmp_path / f"{index}.safetensors").read_bytes())
    assert len(contents) == 1


def test_save_as_pickle_raises(tmp_path):
    with pytest.raises(DatasetError, match=r"change the suffix to \.safetensors"):
        WeightsDataset(filepath=str(tmp_path / "wave.pth")).save(Weights("", {"a": np.ones(1)}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "value"), [(".pth", float("nan")), (".safetensors", float("-inf"))]
)
def test_weights_that_are_not_finite_are_refused(tmp_path, suffix, value):
    """They give black pictures."""
    path = tmp_path / f"wave{suffix}"
    tensors = {**TENSORS, "conv.bias": torch.tensor([0.5, value])}
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    with pytest.raises(DatasetError, match=rf"{path}: 'conv\.bias' contains 1 values that are NaN"):
        load(path)


@pytest.mark.parametrize("place", [-1, -30, -60])
def test_damaged_weights_of_valid_length_are_refused(tmp_path, place):
    path = tmp_path / "wave.safetensors"
    arrays = {name: tensor.numpy() for name, tensor in TENSORS.items()}
    WeightsDataset(filepath=str(path)).save(Weights("", arrays, {"title": "The Great Wave"}))
    assert load(path).metadata == {"title": "The Great Wave"}
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{path}: the weights are damaged \(SHA-256 "):
        load(path)


def test_checksum_depends_on_names_and_values_of_arrays_only():
    one, other = ({"a": np.full(3, value, np.float32)} for value in (1, 2))
    assert Weights("", one).sha256 != Weights("", other).sha256
    assert Weights("", one).sha256 == Weights("another name", dict(one)).sha256
    assert Weights("", {"b": one["a"]}).sha256 != Weights("", one).sha256


@pytest.mark.parametrize("name", ["../../../x", "..", ".hidden", "", "a\\b", "/etc/x", "a\nb"])
def test_style_name_with_a_path_is_refused(tmp_path, name):
    with pytest.raises(DatasetError, match="a name contains no / "):
        WeightsDataset(filepath=str(tmp_path / f"{name}.safetensors"), name=name)
    WeightsDataset(filepath=str(tmp_path / "a b-1_ü.safetensors"), name="a b-1_ü")


def test_a_flipped_bit_anywhere_in_a_pytorch_file_changes_no_weights(tmp_path):
    """Else the style would change without a message."""
    path = tmp_path / "wave.pth"
    torch.save(TENSORS, path)
    content = path.read_bytes()
    refused = []
    for place in range(0, 8 * len(content), 37):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert_tensors(load(path))
        except DatasetError as error:
            refused.append(str(error))
    assert not [message for message in refused if "\n" in message]
    assert [message for message in refused if "are damaged (wave/data/0 has another CRC" in message]


def test_pytorch_file_without_checksums_loads(tmp_path):
    path = tmp_path / "wave.pth"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(TENSORS, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert_tensors(load(path))


def test_a_pytorch_file_with_entries_of_folders_loads(tmp_path):
    """Other programs that write zip archives add an entry for each folder."""
    saved, path = tmp_path / "saved.pth", tmp_path / "wave.pth"
    torch.save(TENSORS, saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.mkdir("saved")
        new.mkdir("saved/data")
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert_tensors(load(path))
