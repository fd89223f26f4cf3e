"""What may be said in the mesh: events, topics, HTTP bodies, metric and attribute names. Knows only pydantic."""
