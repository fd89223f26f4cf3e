"""`plumb`: a thin client of a running mesh, and the switch that starts and stops one. One file per command group."""
