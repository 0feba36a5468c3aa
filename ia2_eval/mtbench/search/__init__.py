"""Search for the demonstrations that help most."""
