"""The turn: the ready queue, the timers, the inbox, and the ports through which the world enters."""
