"""Training of a small decoder on one text file, interruptible and resumable bit for bit."""
