"""WWMAA, a martial arts association: search, registrations for events, payment webhooks."""
