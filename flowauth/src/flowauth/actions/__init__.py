"""Write to the database.

Each action is one transaction that includes its audit event.
"""
