"""Shared code of the plugin: configuration, console, errors, processes, identity.

Projects may use it, too: MPI ranks, tables for a terminal, errors in one line.
"""
