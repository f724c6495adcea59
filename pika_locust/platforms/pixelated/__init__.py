"""Pixelated Empathy: a model that answers people in distress, over REST and on a WebSocket that takes their audio."""
