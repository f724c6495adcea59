"""Load schedules: durations, stages, arrival rates, plans, seeded random numbers. Pure arithmetic, no clock."""
