"""The model that is served: its choice, its change while requests run, its time on the device."""
