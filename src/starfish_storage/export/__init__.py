"""Writing what a store holds into the forms that people train on."""
