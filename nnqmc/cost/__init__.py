"""What a run costs: its time and memory forecast from the traced program, and the speed that it then reached."""
