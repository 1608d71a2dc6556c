"""Estimate time and cost of a pipeline per cluster size, before submitting it.

In: the seconds of each step, from a rehearsal or the caller; the clusters in cloud.yml; prices and
overheads with their sources. Out: makespan, cost and utilisation per size, the cheapest size that
is fast enough, the critical path, the break-even of permanent nodes, a figure.
"""
