"""Generate parts of the documentation from the code, so that they cannot fall behind it.

`blocks` fills the blocks of a page that `generate.py` writes; a block's marker names a generator
and its argument. `static_viz` exports Kedro-Viz for the site.
"""
