"""The demo: the whole story of the mesh on real statutes, played, shown and proved by a report.

It is a user of the mesh like any other: it talks to the HTTP APIs and to Kafka, and knows no daemon from the inside.
"""
