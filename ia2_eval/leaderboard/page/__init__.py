"""One HTML file to sort, filter and look into. Needs no network and no server."""
