"""kalshi-daemon: trades one Kalshi account with an ONNX policy, as a set of explicit statecharts."""

__version__ = "0.1.0"
