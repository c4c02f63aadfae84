"""What every aggregate stands on: the two databases, the tables and their migrations, rows as records, transactions."""
