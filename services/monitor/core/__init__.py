"""What the monitor decides: pure, with the time as an argument."""
