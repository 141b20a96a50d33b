"""How the kernel meets the world: the driver's contract (`base`), and the drivers that keep it."""
