"""`./course ladder`: the rungs of a kernel checked, timed, and drawn under the roofline."""
