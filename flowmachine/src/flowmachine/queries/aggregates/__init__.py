"""Count subscribers by place, label or number."""
