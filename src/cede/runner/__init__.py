"""How a program is started, stopped in bounded time, and put on cede."""
