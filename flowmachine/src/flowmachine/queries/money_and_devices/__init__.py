"""Analyse top-ups, data volume, mobile money and handsets."""
