"""Verity: a matchmaking queue, video sessions, and the webhooks that pay for them."""
