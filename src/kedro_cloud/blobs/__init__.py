"""Blob storage as a file system, `abfs://`, and Azurite, which emulates it on this machine."""
