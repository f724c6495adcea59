"""Pika!: dancers in a WebSocket session, and the DJ they dance to."""
