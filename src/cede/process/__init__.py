"""Child processes: how one is started, watched, signalled and collected, and the transport that tells a protocol of it."""
