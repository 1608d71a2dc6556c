"""What a job will take and cost on a cluster, before it is paid for.

In come the work of a pipeline's steps (measured by a rehearsal, or said), clusters, prices, and
what is assumed of the service; out come times and costs with percentiles, the cheapest cluster that
is quick enough, a picture, and which limit of Azure breaks first. `work` says what is to be done,
`cluster` and `simulation` play it with simpy, `comparing` does so for clusters of all sizes,
`measured` reads rehearsals, `assumptions` the files, `limits` knows what Azure allows, `planned`
puts them together for `kedro cloud plan` (quartet.azure.plan_command).
"""
