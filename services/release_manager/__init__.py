"""Takes a bundle that passed its gates to a tenth of the traffic, to all of it, and back when it turns out bad."""
