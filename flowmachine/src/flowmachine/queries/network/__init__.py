"""Kinds about cells, sites and regions."""
