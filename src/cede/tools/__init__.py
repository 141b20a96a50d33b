"""The toolbox that a program imports."""
