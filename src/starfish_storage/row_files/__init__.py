"""Files of rows: JSON Lines, JSON arrays, CSV and Parquet, plain or compressed, read row by row."""
