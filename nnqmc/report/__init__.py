"""What people see of runs: a summary, a page to hand in, several runs beside each other, and a run in progress."""
