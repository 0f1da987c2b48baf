"""Measure how subscribers move."""
