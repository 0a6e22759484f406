"""`./course test`: suites that run different kinds of checks and count them alike."""
