"""The plumbing: which node receives which dataset, one package a pipeline.

In: catalog entries and typed parameters. Out: catalog entries. What happens
between is a call or two into the science; files are the catalog's business.
"""
