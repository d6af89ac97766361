"""One network a file and a registry; the forest is one of them."""
