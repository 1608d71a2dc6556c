"""What Azure ML needs beyond the plugin, and a rehearsal of it on this machine.

In: the same pipelines, catalogs and parameters as everywhere. Out: blob storage that files of the
catalog lie on, jobs and environments as Azure ML takes them, and runs of such jobs here. Only the
command line, hooks and settings import from here, and late: a local run pays for none of it.
"""
