"""Locustfiles of somebody else's making."""
