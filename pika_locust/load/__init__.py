"""When users act: durations, stages, plans and the dice. Pure arithmetic: no clock is read and nobody sleeps here."""
