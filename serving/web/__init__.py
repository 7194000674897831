"""A page with a microphone and an interface for programs, over HTTP, for people and clients that nobody vouches for."""
