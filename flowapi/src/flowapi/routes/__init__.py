"""Hold the views, one module per group of routes."""
