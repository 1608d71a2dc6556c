"""Start one job for each file that arrives in a folder or a blob container.

Comes in: a location that is scanned, and `trigger` of `conf/<environment>/cloud.yml`, which names
the endpoint and its pipeline, the input that receives the file, and the file suffixes. Goes out: a
run for each file, and a marker beside the files that records what became of it. `protocol` defines
markers and claims, `locations` the folder and the container, `start` the ways to start a run,
`watch` the scan and poll loop, `display` what a terminal shows. The Logic App of `infra/` reads and
writes the same markers, so that it and any number of watchers can work on one container.
"""
