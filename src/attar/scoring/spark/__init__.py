"""``attar score --engine spark``: the same job on Apache Spark.

``job`` is what the driver does, in a session of ``session``, between ``places``: folders of Parquet and
tables. Each Python worker calls ``partitions``, with what ``shipment`` packed for it.
"""
