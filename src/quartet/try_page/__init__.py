"""A local page on which the registered models are tried: `kedro try`.

In: a question, strokes of a pen, a table of readings, a picture or a video. Out: what the models
of the registry predict, by the functions that the server and the pipelines use. The page is a
Streamlit script, `page.py`; each scenario has a module with a function `show`.
"""
