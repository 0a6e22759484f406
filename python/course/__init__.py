"""The course tool: sets up, builds, trains, serves and tests needle. Start it as `./course`."""
