"""The platform "shop": see `scenarios` for what is run, `customer` for the users, `world` for the stand-in server."""
