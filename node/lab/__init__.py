"""A whole testbed on one machine: every node as its own process, then a report.

`record` is what a run leaves beside the journals, `report` folds both into one `Report`; `page`, `plots` and
`summary` show it, and `publish` writes it.
"""
