"""The asyncio face: the event loop, put together from the floors below."""
