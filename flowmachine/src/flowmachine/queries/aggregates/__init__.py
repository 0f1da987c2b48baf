"""Kinds that count subscribers by place, label or number."""
