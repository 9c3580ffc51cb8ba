"""The model layer: stateless SAM inference and the one owner of the device."""
