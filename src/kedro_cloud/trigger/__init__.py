"""Start one run for each file that arrives in a folder or a blob container.

Input: a location that is scanned, and `trigger` of `conf/<environment>/cloud.yml`, which names the
endpoint and its pipeline, the input that receives the file, and the file suffixes. Output: a run
for each file, and a marker beside the files that records how it ended. `protocol` defines
markers and claims, `locations` the folder and the container, `settings` what a run receives,
`commands` and `jobs` the runs on this machine and on Azure ML, `watch` the loop, `display` what a
terminal shows. The Logic App of `infra/` reads and writes the same markers, so that it and any
number of watchers can work on one container.
"""
