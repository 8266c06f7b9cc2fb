"""The contract between DDPM and its plugins: four base classes, what describes them, and the hooks that find them."""
