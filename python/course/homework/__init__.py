"""Homeworks: regions of the library that students write, and everything that is done with them."""
