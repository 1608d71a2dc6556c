"""Files are saved and loaded byte for byte."""

from kedro_datasets.partitions import PartitionedDataset

from quartet.datasets.raw import BytesDataset


def test_partitioned_folder_round_trip(tmp_path):
    files = {"a/2026/00": b"\x00\r\n\xff", "b/01": b""}
    folder = PartitionedDataset(path=str(tmp_path), dataset=BytesDataset, filename_suffix=".bin")
    folder.save(files)
    assert {name: load() for name, load in folder.load().items()} == files
    assert (tmp_path / "a/2026/00.bin").read_bytes() == files["a/2026/00"]
