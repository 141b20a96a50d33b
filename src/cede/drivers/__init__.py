"""How the kernel meets the world: the driver's contract (`contract`), and the drivers that keep it."""
