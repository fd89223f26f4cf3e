"""Embedded mode: broker, cache and the eight daemons as processes of one supervisor, on one machine.

`policy` decides (pure), `supervisor` acts; `record` is what others read to find the mesh. Daemons are known by name only.
"""
