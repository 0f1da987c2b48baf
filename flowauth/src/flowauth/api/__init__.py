"""Serve scripts: ``/api/v1``, JSON with a bearer token."""
