"""Stylize pictures and videos after a painting.

Input: a painting and photographs to train on, or a video or pictures to stylize.
Output: a feed-forward network for one style; the stylized video with the frames,
timestamps and audio of its source; figures and metrics that evaluate both. The package
works on arrays and files and does not import Kedro.
"""
