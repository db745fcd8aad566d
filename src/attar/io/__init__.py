"""Files and formats: atomic writes, tables, MongoDB."""
