"""What a node remembers: rounds, models, peers, its privacy ledger and its operators, in SQLite or PostgreSQL."""
