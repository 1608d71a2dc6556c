"""Formats and stores that kedro-datasets lacks, each a Kedro dataset.

In: catalog entries (path, credentials, format options). Out: NumPy arrays and
small handles that nodes use without knowing where the bytes lie. Files are
read and written through fsspec, checked on the way in, and replaced as a whole
on the way out.
"""
