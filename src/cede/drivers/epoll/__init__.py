"""The driver of Linux: epoll, and system calls without Python in between."""
