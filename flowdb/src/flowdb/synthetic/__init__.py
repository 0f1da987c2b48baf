"""Generate an invented country for trials and tests of the platform.

Geography is the same in every run. People and events follow from the seed. Nothing is drawn from real
records.
"""
