"""The scripted way in: ``/api/v1``, JSON with a bearer token."""
