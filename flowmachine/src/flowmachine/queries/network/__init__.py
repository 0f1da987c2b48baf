"""Describe cells, sites and regions."""
