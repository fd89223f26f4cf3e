"""Reports for people: what a mesh's events tell of its releases, as one HTML file. matplotlib and jinja2 are needed only here."""
