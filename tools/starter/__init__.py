"""How the starter on a pretrained trunk is made: not part of the package, see README.md here."""
