"""The sensors' SQL database and stored readings, as Kedro datasets.

In come batches of ingestion (readings, windows, the ledger of files, quarantined readings) and the
results of scoring; out go windows, counts and how far each job has come. `tables` is the handle
that nodes receive: each of its methods is one transaction, which `database` repeats when the server
fails for a moment. `schema` defines the tables, `rows` writes and reads many rows at once, `claims`
keeps two runs from doing the same job. `readings` keeps the readings themselves as Parquet files,
and `reading_table` reads a CSV or Parquet table of them.
"""
