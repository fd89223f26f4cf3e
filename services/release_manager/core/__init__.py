"""The rollout as a pure state machine: no I/O, no clock, no settings of its own."""
