//! What an operator talks to: the control socket's router, later the HTTP API and the console.
