"""What a dancer makes of the night: likes, wishes for another tempo, votes.

Reactions are thoughts, scheduled and not slept, so that a dancer who thinks goes on reading, as an app does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import monotonic_ns
from typing import Any

from pika_locust.load.dice import SeededRandom
from pika_locust.platforms.pika import habits, messages
from pika_locust.platforms.pika.room import PikaContext
from pika_locust.platforms.pika.subscription import Subscription
from pika_locust.runtime.thoughts import UserTimers


class Reactions:
    """One dancer's, and its memory of what it has liked and voted on, which outlives its connections."""

    __slots__ = (
        "_dice",
        "_like_times_ns",
        "_liked",
        "_likes_offline",
        "_line",
        "_polls_done",
        "_room",
        "_song",
        "_subscription",
        "_thoughts",
    )

    def __init__(self, room: PikaContext, subscription: Subscription, thoughts: UserTimers, dice: SeededRandom) -> None:
        self._room = room
        self._subscription = subscription
        self._line = subscription.line
        self._thoughts = thoughts
        self._dice = dice
        self._song = 0
        self._liked: set[int] = set()
        self._like_times_ns: list[int] = []
        self._likes_offline: list[Mapping[str, Any]] = []
        self._polls_done: set[int] = set()

    # What is decided here draws the same dice whatever was done before, so that a seed repeats a whole evening.

    def to_track(self, track: Any) -> None:
        """A track is on; anything may come in its place."""
        song = _song_of(track)
        # A song that goes on is nothing new: who comes back is shown it again, and the server keeps its votes.
        if song in (0, self._song):
            return
        self._song = song
        self._thoughts.forget("tempo")
        dice = self._dice
        if dice.chance(habits.LIKE_CHANCE):
            self._thoughts.think("like", dice.uniform(0, habits.LIKE_WITHIN_S), self._like, track)
        if dice.chance(habits.TEMPO_CHANCE):
            preference = dice.choice(messages.TEMPOS)
            self._thoughts.think("tempo", dice.uniform(0, habits.TEMPO_WITHIN_S), self.ask_tempo, preference)

    def to_poll(self, poll: Mapping[str, Any]) -> None:
        """The room is asked something."""
        poll_id, options = poll.get("pollId"), poll.get("options")
        if not isinstance(poll_id, int) or not isinstance(options, list) or not options:
            return
        if poll.get("hasVoted") or poll_id in self._polls_done:
            return
        if self._dice.chance(habits.VOTE_CHANCE):
            option = self._dice.below(len(options))
            self._thoughts.think("vote", self._dice.uniform(0, habits.VOTE_WITHIN_S), self._vote, poll_id, option)

    def to_end_of_poll(self, poll_id: Any) -> None:
        """Votes are taken no longer."""
        if isinstance(poll_id, int):
            self._polls_done.add(poll_id)

    # Likes

    def _like(self, track: Mapping[str, Any]) -> None:
        song = _song_of(track)
        if song in self._liked:
            return
        now_ns = monotonic_ns()
        self._like_times_ns = [at_ns for at_ns in self._like_times_ns if at_ns > now_ns - 60_000_000_000]
        if len(self._like_times_ns) >= habits.LIKES_A_MINUTE:
            return
        self._liked.add(song)
        self._like_times_ns.append(now_ns)
        subscription = self._subscription
        if not subscription.is_live:
            self._likes_offline.append(track)
            return
        message_id = self._line.expect("like", ledger=self._room.worker.ledgers["likes"])
        self._line.say(messages.like(self._room.session_id, subscription.client_id, track, message_id))

    def send_offline_likes(self) -> None:
        """Send the likes that were made while there was no connection, as the app does after it is back."""
        if not self._likes_offline:
            return
        tracks, self._likes_offline = self._likes_offline, []
        message_id = self._line.expect("bulk_like", ledger=self._room.worker.ledgers["likes"], items=len(tracks))
        client_id = self._subscription.client_id
        self._line.say(messages.bulk_like(self._room.session_id, client_id, tracks, message_id))

    # Tempo

    def ask_tempo(self, preference: str) -> None:
        """Wish for slower or faster music."""
        subscription = self._subscription
        if not subscription.is_live:
            return
        # Announced by hand: what becomes of it is booked below, and not by the table of answers.
        answers = self._room.answers
        message_id = answers.next_id()
        self._room.worker.ledgers["tempo votes"].sent(message_id)
        on_answer = partial(self._on_tempo_answer, message_id, self._song)
        answers.expect(message_id, "tempo", self._line, on_answer=on_answer)
        self._line.say(messages.tempo(self._room.session_id, subscription.client_id, preference, message_id))

    def _on_tempo_answer(self, message_id: str, song: int, ok: bool, why: str) -> None:
        """Book a tempo vote. The server keeps one for each dancer and song, the last one. A vote that was on its way
        when the song changed may count for the old song or for the new one, or be replaced by the dancer's next vote:
        nobody outside can tell."""
        ledger = self._room.worker.ledgers["tempo votes"]
        if ok and song == self._song:
            ledger.acked(message_id)
        else:
            ledger.uncertain(message_id)

    # Votes

    def _vote(self, poll_id: int, option: int) -> None:
        if self._subscription.is_live and poll_id not in self._polls_done:
            self._polls_done.add(poll_id)
            message_id = self._line.expect("vote", ledger=self._room.worker.ledgers["poll votes"])
            self._line.say(messages.vote(poll_id, self._subscription.client_id, option, message_id))


def _song_of(track: Any) -> int:
    """A number that stands for a song; 0 for what is none. Thousands of dancers keep many, so it is not the text."""
    if not isinstance(track, dict):
        return 0
    title, artist = track.get("title"), track.get("artist")
    return hash((title, artist)) if title and isinstance(title, str) and isinstance(artist, str) else 0
