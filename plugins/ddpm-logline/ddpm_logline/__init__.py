"""Access logs of Apache and nginx, in combined and common format, as a format for DDPM."""
