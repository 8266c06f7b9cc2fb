"""The format `csv`: one record on each line, fields between delimiters, quotes around the awkward ones."""
