"""What a query is and how a spec becomes one; knows nothing of databases."""
