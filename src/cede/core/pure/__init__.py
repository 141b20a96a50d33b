"""What an uncompiled build does otherwise."""
