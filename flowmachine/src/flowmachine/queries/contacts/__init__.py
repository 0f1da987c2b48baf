"""Analyse contacts between subscribers."""
