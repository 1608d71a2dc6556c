"""The sensors' SQL database and stored readings, as Kedro datasets.

Inputs are batches of ingestion (readings, windows, the ledger of files, quarantined readings) and
the results of scoring; outputs are windows, counts and the cursor of each job. `tables` is the
handle that nodes receive: each of its methods is one transaction, which `database` retries on
transient errors. `schema` defines the tables, `queries` and `writing` have the statements, `rows`
writes and reads many rows at once, and `claims` prevents two runs from doing the same job.
`readings` stores the readings as Parquet files, and `reading_table` reads a CSV or Parquet table of
readings.
"""
