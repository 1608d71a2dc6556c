"""What every part of the plugin uses: configuration, console, errors, processes, identity.

A project may use these, too: MPI ranks, tables for a terminal, errors in one line.
"""
