"""Run the server process and answer its requests."""
