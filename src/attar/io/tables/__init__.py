"""The one reader and the one writer of each table format: JSONL, CSV, TSV, Excel and Parquet.

``prepare``, ``score``, ``compare`` and ``pretrain`` all read here, so a row means the same to each of
them: plain values by column, their place in the file, and a reason code where a row cannot be read.
"""
