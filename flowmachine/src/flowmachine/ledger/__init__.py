"""Release results, and keep of each what later answers are compared with."""
