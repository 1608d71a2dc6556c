"""Estimate time and cost of a pipeline per cluster size, before anything is paid for.

In: the seconds of each step that a rehearsal recorded, or that the caller gives; the clusters of
cloud.yml; prices and overheads with their sources. Out: makespan, cost and utilisation per size,
the cheapest that is fast enough, the critical path, the break-even of nodes that stay, a picture.
"""
