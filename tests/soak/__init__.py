"""Servers under load and faults for as long as one likes: nothing is lost, nothing goes to the wrong one, nothing grows."""
