"""The MXNet Gluon backend of gradest."""
