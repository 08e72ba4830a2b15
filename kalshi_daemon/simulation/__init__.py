"""The whole daemon and the emulator in one process, on a virtual clock."""
