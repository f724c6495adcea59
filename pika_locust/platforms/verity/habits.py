"""How patient members are, and how they choose."""

from __future__ import annotations

PAUSE_S = 1.0
"""After something that did not work, before the next try. The suites try again at once, which hammers a server that is
already in trouble."""
MATCH_WAIT_S = 30.0
"""A user who is not matched by then leaves the queue and tries again."""
START_WAIT_S = 10.0
"""From the match to session:start, and for the namespaces of a socket to be opened."""
END_GRACE_S = 15.0
"""Beyond the length of a session, for its end."""
MATCH_CHANCE = 0.5
"""How many choose to see each other again: the suite has no choices, a night of speed dating has about so many."""
FINISH_GRACE_S = END_GRACE_S + 5.0
"""Beyond the length of a session, for a user who was matched when told to finish: it waits for the end, and chooses."""
