"""One small, right plugin of every kind, for the kit to be tested on."""
