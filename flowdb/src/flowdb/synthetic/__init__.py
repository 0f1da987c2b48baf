"""A country that does not exist, to try and to test the platform on.

Geography is the same in every run; people and events follow from the seed. Nothing here is drawn from real records.
"""
