"""How a model meets sound: one export of front end, network and classes, and what decodes files and listens with it."""
