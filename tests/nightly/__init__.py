"""What takes longer than continuous integration may: run it whole, and keep what came of it."""
