"""What a platform is built from: actors, scenarios, audits by sampling, signed webhooks."""
