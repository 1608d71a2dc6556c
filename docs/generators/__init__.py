"""Makes parts of the documentation from the code, so that they cannot fall behind it.

In comes what stands after a marker's colon, out goes Markdown. `hooks.py` calls these while MkDocs
builds a page; what is heavy to import is imported only for the pages that want it.
"""
