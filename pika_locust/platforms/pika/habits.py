"""How likely a dancer is to do what, and how soon: the figures of the suite."""

from __future__ import annotations

LIKE_CHANCE, LIKE_WITHIN_S = 0.5, 2.0
TEMPO_CHANCE, TEMPO_WITHIN_S = 0.6, 10.0
VOTE_CHANCE, VOTE_WITHIN_S = 0.8, 5.0
THANKS_CHANCE, THANKS_WITHIN_S = 0.8, 2.0

LIKES_A_MINUTE = 10
"""The app's own cap, which is also the server's quota for a client."""
