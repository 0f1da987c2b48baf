"""Count and time the events of subscribers."""
