//! Real client programs against the real server. `make interop` installs and builds them and runs this.
