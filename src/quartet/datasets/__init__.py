"""Formats and stores that kedro-datasets lacks, each a Kedro dataset.

In: catalog entries (path, credentials, format options). Out: NumPy arrays, data
frames and handles that hide the storage from nodes. Files are read and written
with fsspec, validated on loading, and replaced atomically on saving.
"""
